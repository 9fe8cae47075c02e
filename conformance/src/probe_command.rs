//! The command `collab-conformance probe`.

use collab_conformance::probe;

use crate::cli::Reach;
use crate::{HARNESS, PASSED, Stop, runtime, show};

pub(crate) fn run(reach: &Reach) -> Result<u8, Stop> {
    let runtime = runtime()?;
    let met = reach.meet(&runtime)?;
    let target = runtime.block_on(met.server.target());
    let target = target.map_err(|why| reach.unreachable("", &why))?;
    let page = runtime.block_on(probe::probe(&target, &met.offered, reach.scale()?));
    show(&page.map_err(|why| Stop(HARNESS, why))?.words())?;
    Ok(met.end(&runtime, PASSED))
}
