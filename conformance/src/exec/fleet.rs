//! Instances that cases share: one for each area, from its first case to its last.
//!
//! So each area finds a fresh server, and one that dies takes the cases of one area with it at most.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use collab_spec::report::ExitReason;
use tokio::sync::Mutex as AsyncMutex;

use super::{Exec, Instance, StartError};
use crate::case::Case;

/// The instances of a run.
#[derive(Debug)]
pub(crate) struct Fleet {
    exec: Arc<Exec>,
    areas: Mutex<HashMap<String, Arc<Area>>>,
    /// The one of the first contact, until an area takes it.
    spare: AsyncMutex<Option<Arc<Instance>>>,
}

#[derive(Debug, Default)]
struct Area {
    instance: AsyncMutex<Option<Arc<Instance>>>,
    under_way: Mutex<BTreeSet<String>>,
    /// The cases that are still to be played; nothing where nobody has said.
    left: Mutex<Option<usize>>,
}

/// An area's instance, while a case uses it.
pub(crate) struct Lease {
    area: Arc<Area>,
    case: String,
    instance: Arc<Instance>,
}

impl Fleet {
    pub(crate) fn new(exec: Arc<Exec>) -> Self {
        Self {
            exec,
            areas: Mutex::default(),
            spare: AsyncMutex::default(),
        }
    }

    pub(crate) fn exec(&self) -> &Arc<Exec> {
        &self.exec
    }

    /// Says which cases are to be played, so that an area's instance ends with its last case.
    pub(crate) fn expect<'a>(&self, cases: impl Iterator<Item = &'a Case>) {
        for case in cases.filter(|case| !case.own_server) {
            let area = self.area(case);
            let mut left = area.left.lock().unwrap_or_else(PoisonError::into_inner);
            *left = Some(left.unwrap_or(0) + 1);
        }
    }

    /// Starts an instance for the first contact, and keeps it for the first area.
    pub(crate) async fn first(&self) -> Result<Arc<Instance>, StartError> {
        let instance = Arc::new(self.exec.start().await?);
        *self.spare.lock().await = Some(Arc::clone(&instance));
        Ok(instance)
    }

    /// The instance of a case's area; a new one where it has none, or it has ended.
    pub(crate) async fn lease(&self, case: &Case) -> Result<Lease, StartError> {
        let area = self.area(case);
        let mut held = area.instance.lock().await;
        if let Some(dead) = held.take_if(|instance| instance.has_failed()) {
            dead.end(ExitReason::Died, area.under_way()).await;
        }
        let instance = match held.as_ref() {
            Some(instance) => Arc::clone(instance),
            None => match self
                .spare
                .lock()
                .await
                .take()
                .filter(|spare| !spare.has_failed())
            {
                Some(spare) => spare,
                None => Arc::new(self.exec.start().await?),
            },
        };
        *held = Some(Arc::clone(&instance));
        drop(held);
        area.lock_under_way().insert(case.id.clone());
        Ok(Lease {
            area,
            case: case.id.clone(),
            instance,
        })
    }

    /// Ends all instances in good order.
    pub(crate) async fn end(&self) {
        let areas: Vec<_> = self.lock_areas().drain().map(|(_, area)| area).collect();
        let mut instances: Vec<_> = self.spare.lock().await.take().into_iter().collect();
        for area in areas {
            instances.extend(area.instance.lock().await.take());
        }
        futures_util::future::join_all(instances.iter().map(|instance| instance.stop())).await;
    }

    fn area(&self, case: &Case) -> Arc<Area> {
        Arc::clone(self.lock_areas().entry(case.area().to_owned()).or_default())
    }

    fn lock_areas(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Area>>> {
        self.areas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Area {
    fn under_way(&self) -> Vec<String> {
        self.lock_under_way().iter().cloned().collect()
    }

    fn lock_under_way(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(crate) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Gives up an instance that has failed; the area's next case gets another one.
    pub(crate) async fn fail(&self, why: ExitReason) {
        self.instance.end(why, self.area.under_way()).await;
        self.area.lock_under_way().remove(&self.case);
        let mut held = self.area.instance.lock().await;
        held.take_if(|held| Arc::ptr_eq(held, &self.instance));
    }

    /// The case is over; after the area's last one the instance ends in good order.
    pub(crate) async fn give_back(self) {
        self.area.lock_under_way().remove(&self.case);
        let is_last = {
            let mut left = self
                .area
                .left
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *left = left.map(|left| left.saturating_sub(1));
            *left == Some(0)
        };
        if is_last && let Some(instance) = self.area.instance.lock().await.take() {
            instance.stop().await;
        }
    }
}
