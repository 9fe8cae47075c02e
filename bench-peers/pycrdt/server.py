"""pycrdt-websocket with nothing configured: python server.py PORT"""

import asyncio
import sys

import uvicorn
from pycrdt.websocket import ASGIServer, WebsocketServer


async def main() -> None:
    async with WebsocketServer() as rooms:
        config = uvicorn.Config(
            ASGIServer(rooms), host="127.0.0.1", port=int(sys.argv[1]), log_level="error"
        )
        await uvicorn.Server(config).serve()


asyncio.run(main())
