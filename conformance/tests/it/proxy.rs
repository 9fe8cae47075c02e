//! The proxy harms connections as its plan says, and no others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use collab_conformance::proxy::{Direction, Faults, Happened, How, Place, Plan, Proxy};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

const TO_SERVER: Direction = Direction::ToServer;
const TO_CLIENT: Direction = Direction::ToClient;

/// How long something may take that must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a peer has got at once, or how its connection has ended.
type Got = Result<Vec<u8>, std::io::ErrorKind>;

/// A server that echoes every byte and says what it gets. An empty piece is the end.
async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (says, said) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(echo_one(stream, says.clone()));
        }
    });
    (address, said)
}

async fn echo_one(mut stream: TcpStream, says: mpsc::UnboundedSender<Got>) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let got: Got = match stream.read(&mut piece).await {
            Ok(count) => Ok(piece[..count].to_vec()),
            Err(error) => Err(error.kind()),
        };
        // A test may have ended.
        let _ = says.send(got.clone());
        let bytes = got.unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = stream.write_all(&bytes).await {
            let _ = says.send(Err(error.kind()));
            return;
        }
    }
}

/// An echo server behind a proxy that does this to every connection, and a connection through it.
async fn through(faults: Faults) -> (Proxy, TcpStream, mpsc::UnboundedReceiver<Got>) {
    let (address, said) = echo().await;
    let proxy = Proxy::start(&address.to_string(), Plan::same(faults))
        .await
        .unwrap();
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (proxy, client, said)
}

/// Bytes that can't be mixed up unseen.
fn bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

/// Reads to the end: the bytes, and the error where the end is one.
async fn read_all(client: &mut TcpStream) -> (Vec<u8>, Option<std::io::ErrorKind>) {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut all))
        .await
        .unwrap();
    (all, read.err().map(|error| error.kind()))
}

/// All that the server gets of one connection, and how that ends.
async fn server_got(
    said: &mut mpsc::UnboundedReceiver<Got>,
) -> (Vec<u8>, Option<std::io::ErrorKind>) {
    let mut all = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, said.recv())
            .await
            .unwrap()
            .unwrap()
        {
            Ok(piece) if piece.is_empty() => return (all, None),
            Ok(piece) => all.extend(piece),
            Err(kind) => return (all, Some(kind)),
        }
    }
}

/// What was done to the only connection, once it has ended.
async fn only(proxy: &Proxy) -> Happened {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let happened = async {
        loop {
            if let [only] = proxy.happened()[..] {
                return only;
            }
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, happened).await.unwrap()
}

#[tokio::test]
async fn without_a_fault_everything_passes_and_so_does_each_end() {
    let (proxy, client, mut said) = through(Faults::none()).await;
    let sent = bytes(1 << 20);
    let (mut read, mut write) = client.into_split();
    let copy = sent.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        // The end of one direction leaves the other open.
        write.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    tokio::time::timeout(PATIENCE, read.read_to_end(&mut back))
        .await
        .unwrap()
        .unwrap();
    sending.await.unwrap();
    assert!(back == sent);
    assert_eq!(server_got(&mut said).await.1, None);
    let count = sent.len() as u64;
    let expected = Happened {
        connection: 0,
        to_server: count,
        to_client: count,
        cut: None,
    };
    assert_eq!(only(&proxy).await, expected);
}

#[tokio::test]
async fn a_reset_behind_a_byte_to_the_server() {
    let faults = Faults::none().cut(TO_SERVER, Place::Byte(1_000), How::Reset);
    let (proxy, mut client, mut said) = through(faults).await;
    client.write_all(&bytes(5_000)).await.unwrap();
    let (got, end) = server_got(&mut said).await;
    assert!(got == bytes(1_000) && end.is_some(), "{end:?}");
    let reset = Some(std::io::ErrorKind::ConnectionReset);
    assert_eq!(read_all(&mut client).await.1, reset);
    let happened = only(&proxy).await;
    assert_eq!(
        (happened.to_server, happened.cut),
        (1_000, Some(How::Reset))
    );
}

#[tokio::test]
async fn an_end_behind_a_byte_to_the_client() {
    let faults = Faults::none().cut(TO_CLIENT, Place::Byte(700), How::Fin);
    let (proxy, mut client, mut said) = through(faults).await;
    client.write_all(&bytes(5_000)).await.unwrap();
    let (got, end) = read_all(&mut client).await;
    assert!((got, end) == (bytes(700), None), "{end:?}");
    assert_eq!(server_got(&mut said).await.1, None);
    assert_eq!(only(&proxy).await.cut, Some(How::Fin));
}

#[tokio::test]
async fn a_cut_before_the_first_byte() {
    let faults = Faults::none().cut(TO_CLIENT, Place::Byte(0), How::Fin);
    let (_proxy, mut client, _said) = through(faults).await;
    assert_eq!(read_all(&mut client).await, (Vec::new(), None));
}

/// A WebSocket through a proxy to a server that echoes messages; it says how many it got.
async fn web_socket(faults: Faults, messages: usize) -> (usize, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut count = 0;
        while let Some(Ok(message)) = socket.next().await {
            count += 1;
            if socket.send(message).await.is_err() {
                break;
            }
        }
        count
    });
    let proxy = Proxy::start(&address.to_string(), Plan::same(faults))
        .await
        .unwrap();
    let (mut socket, _) = tokio_tungstenite::connect_async(proxy.url("/ws"))
        .await
        .unwrap();
    let mut count = 0;
    for number in 0..messages {
        // Lengths of one, three and nine bytes in the header.
        let text = "x".repeat([10, 1_000, 70_000][number % 3]);
        if socket.send(Message::text(text.clone())).await.is_err() {
            break;
        }
        match tokio::time::timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Text(back))) if back.as_str() == text => count += 1,
            _ => break,
        }
    }
    drop(socket);
    (server.await.unwrap(), count)
}

#[tokio::test]
async fn cuts_behind_frames() {
    for how in [How::Reset, How::Fin] {
        for (direction, frame, expected) in [
            (TO_SERVER, 4, (4, 3)),
            (TO_CLIENT, 4, (4, 4)),
            (TO_SERVER, 1, (1, 0)),
            (TO_CLIENT, 0, (0, 0)),
        ] {
            let faults = Faults::none().cut(direction, Place::Frame(frame), how);
            let (server, client) = web_socket(faults, 9).await;
            // The echo of the last frame to the server races with the cut, and behind a reset what has
            // come may be lost.
            let is_right = match direction {
                Direction::ToServer => server == expected.0 && client >= expected.1,
                Direction::ToClient => client == expected.1,
            };
            assert!(
                is_right,
                "{direction:?} {frame} {how:?}: {server}, {client}"
            );
        }
    }
    assert_eq!(web_socket(Faults::none(), 9).await, (9, 9));
}

#[tokio::test]
async fn half_open_stops_one_direction_and_leaves_the_other() {
    let faults = Faults::none().half_open(TO_CLIENT, Place::Byte(100));
    let (proxy, mut client, mut said) = through(faults).await;
    client.write_all(&bytes(300)).await.unwrap();
    let mut back = vec![0; 100];
    client.read_exact(&mut back).await.unwrap();
    assert!(back == bytes(100));
    // The server gets more, and has echoed it before it gets the next.
    for _ in 0..5 {
        client.write_all(b"more").await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"more") {
            got.extend(said.recv().await.unwrap().unwrap());
        }
    }
    let kind = client.try_read(&mut back).map_err(|error| error.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::WouldBlock));
    assert_eq!(proxy.happened(), []);
    client.shutdown().await.unwrap();
    assert_eq!(server_got(&mut said).await.1, None);
    assert_eq!(only(&proxy).await.cut, Some(How::HalfOpen));
}

/// How long so many turns take, in each of which one byte comes back.
async fn turns(faults: Faults, count: usize) -> Duration {
    let (_proxy, mut client, _said) = through(faults).await;
    let started = Instant::now();
    for number in 0..count {
        client.write_all(&[number as u8]).await.unwrap();
        let mut back = [0];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [number as u8]);
    }
    started.elapsed()
}

#[tokio::test]
async fn delays_and_jitter_take_their_time() {
    let delayed = turns(Faults::none().delay(Duration::from_millis(20)), 5).await;
    assert!(delayed >= Duration::from_millis(200), "{delayed:?}");
    // On the average half of it.
    let jittered = turns(Faults::none().jitter(Duration::from_millis(20), 1), 20).await;
    assert!(jittered >= Duration::from_millis(200), "{jittered:?}");
}

#[tokio::test]
async fn a_delay_takes_no_rate_and_keeps_the_order() {
    let faults = Faults::none()
        .delay(Duration::from_millis(50))
        .jitter(Duration::from_millis(50), 1);
    let (_proxy, client, _said) = through(faults).await;
    let (mut read, mut write) = client.into_split();
    let sent = bytes(2 << 20);
    let copy = sent.clone();
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        write
    });
    let mut back = vec![0; sent.len()];
    read.read_exact(&mut back).await.unwrap();
    drop(sending.await.unwrap());
    assert!(back == sent);
    // One by one its chunks would take 256 times 150 ms on the average.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_throttle_holds_the_rate() {
    let (_proxy, mut client, _said) = through(Faults::none().throttle(100_000)).await;
    let started = Instant::now();
    client.write_all(&bytes(30_000)).await.unwrap();
    let mut back = vec![0; 30_000];
    client.read_exact(&mut back).await.unwrap();
    assert!(back == bytes(30_000));
    assert!(
        started.elapsed() >= Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn dribbled_bytes_come_one_by_one() {
    // Slow, so that the other end has taken one before the next comes.
    let faults = Faults::none().throttle(500);
    for (faults, pieces) in [(faults, 1..=15), (faults.dribble(1_000), 20..=60)] {
        let (_proxy, mut client, mut said) = through(faults).await;
        client.write_all(&bytes(60)).await.unwrap();
        let mut back = vec![0; 60];
        client.read_exact(&mut back).await.unwrap();
        assert!(back == bytes(60));
        let mut got = 0;
        while said.try_recv().is_ok() {
            got += 1;
        }
        assert!(pieces.contains(&got), "{got} pieces, not {pieces:?}");
    }
}

#[tokio::test]
async fn a_seed_does_the_same_again() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (address, _said) = echo().await;
        let proxy = Proxy::start(&address.to_string(), Plan::seeded(42))
            .await
            .unwrap();
        for _ in 0..20 {
            let mut client = TcpStream::connect(proxy.address()).await.unwrap();
            // Of what is cut or half open, not all comes back.
            let _ = client.write_all(&bytes(3_000)).await;
            let _ = client.shutdown().await;
            let _ = tokio::time::timeout(PATIENCE, client.read_to_end(&mut Vec::new()))
                .await
                .unwrap();
        }
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while proxy.happened().len() < 20 {
            look.tick().await;
        }
        let mut cuts: Vec<_> = proxy
            .happened()
            .iter()
            .map(|one| (one.connection, one.cut))
            .collect();
        cuts.sort_by_key(|(connection, _)| *connection);
        runs.push(cuts);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].iter().any(|(_, cut)| cut.is_some()));
    assert!(runs[0].iter().any(|(_, cut)| cut.is_none()));
}

#[tokio::test]
async fn each_connection_has_the_faults_of_its_turn() {
    let (address, _said) = echo().await;
    let cut = Faults::none().cut(TO_CLIENT, Place::Byte(1), How::Fin);
    let plan = Plan::in_turn([cut, Faults::none(), cut]);
    let proxy = Proxy::start(&address.to_string(), plan).await.unwrap();
    let mut came = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        came.push(read_all(&mut client).await.0.len());
    }
    assert_eq!(came, [1, 3, 1, 3]);
}

#[tokio::test]
async fn a_reader_that_stalls_is_felt_at_the_other_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::start(&address.to_string(), Plan::clean())
        .await
        .unwrap();
    let _client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut sent = 0;
    let chunk = [0; 16 * 1024];
    // Nothing says that it will stay so; a second is long on one machine.
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), server.write(&chunk)).await
    {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "the proxy takes everything");
    }
    // Beside the proxy, the server's own buffer and the client's hold something.
    assert!(sent < 12 << 20, "{sent}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_end_and_so_is_that_of_the_proxy() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = Proxy::start(&gone.to_string(), Plan::clean())
        .await
        .unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(read_all(&mut client).await.0.is_empty());
    let (proxy, mut client, _said) = through(Faults::none()).await;
    client.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    drop(proxy);
    assert!(read_all(&mut client).await.0.is_empty());
}
