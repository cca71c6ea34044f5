//! Where workloads are that wish to be restarted, as far as that is watched. Where there
//! are none, nobody is asked for them.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Error, Event};

use super::redeploy::Workload;
use crate::snapshot::lock;

/// The workloads that wish to be restarted, of each kind: no more than there are.
#[derive(Default)]
pub struct Candidates(Mutex<HashMap<Watch, Seen>>);

/// A kind, and the namespace where it is watched; in all of them without one.
type Watch = (&'static str, Option<String>);

/// What a watch has shown.
#[derive(Default)]
struct Seen {
    /// Not before the first list, nor after a failure until something is shown again.
    is_known: bool,
    listed: Places,
    now: Places,
}

/// Names, by namespace.
#[derive(Default)]
struct Places(HashMap<String, HashSet<String>>);

impl Candidates {
    /// Takes down what a watch of those that wish it shows.
    pub(super) fn saw<W: Workload>(
        &self,
        namespace: Option<&str>,
        event: &Result<Event<PartialObjectMeta<W>>, Error>,
    ) {
        let mut all = lock(&self.0);
        let watch = (W::KIND, namespace.map(str::to_owned));
        let seen = all.entry(watch).or_default();
        match event {
            Err(_) => seen.is_known = false,
            Ok(Event::Init) => seen.listed = Places::default(),
            Ok(Event::InitApply(object)) => seen.listed.add(object),
            Ok(Event::InitDone) => {
                seen.now = std::mem::take(&mut seen.listed);
                seen.is_known = true;
            }
            Ok(Event::Apply(object)) => {
                seen.now.add(object);
                seen.is_known = true;
            }
            Ok(Event::Delete(object)) => {
                seen.now.remove(object);
                seen.is_known = true;
            }
        }
    }

    /// Whether a namespace may have one of a kind: only if that is watched, and there is none,
    /// it has not.
    pub(super) fn may_be<W: Workload>(&self, namespace: &str) -> bool {
        let all = lock(&self.0);
        let is_there =
            |(kind, of): &Watch| *kind == W::KIND && of.as_deref().is_none_or(|of| of == namespace);
        let mut watches = all.iter().filter(|(watch, _)| is_there(watch)).peekable();
        watches.peek().is_none()
            || watches.any(|(_, seen)| !seen.is_known || seen.now.0.contains_key(namespace))
    }
}

impl Places {
    fn add(&mut self, object: &impl ResourceExt) {
        let names = self.0.entry(object.namespace().unwrap_or_default());
        names.or_default().insert(object.name_any());
    }

    fn remove(&mut self, object: &impl ResourceExt) {
        let namespace = object.namespace().unwrap_or_default();
        if let Some(names) = self.0.get_mut(&namespace) {
            names.remove(&object.name_any());
            if names.is_empty() {
                self.0.remove(&namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};

    use super::*;

    fn web(namespace: &str) -> PartialObjectMeta<Deployment> {
        let mut object = PartialObjectMeta::<Deployment>::default();
        object.metadata.name = Some("web".to_owned());
        object.metadata.namespace = Some(namespace.to_owned());
        object
    }

    fn saw(candidates: &Candidates, event: Event<PartialObjectMeta<Deployment>>) {
        candidates.saw(None, &Ok(event));
    }

    #[test]
    fn only_what_is_watched_and_not_there_is_known_not_to_be_there() {
        let candidates = Candidates::default();
        let may_be = |namespace| candidates.may_be::<Deployment>(namespace);
        assert!(may_be("shop"), "nobody looks");
        saw(&candidates, Event::Init);
        saw(&candidates, Event::InitApply(web("shop")));
        assert!(may_be("till"), "not all are listed");
        saw(&candidates, Event::InitDone);
        assert!(may_be("shop") && !may_be("till"));
        assert!(candidates.may_be::<StatefulSet>("till"), "another kind");
        saw(&candidates, Event::Apply(web("till")));
        saw(&candidates, Event::Delete(web("shop")));
        assert!(!may_be("shop") && may_be("till"));
        candidates.saw::<Deployment>(None, &Err(Error::NoResourceVersion));
        assert!(may_be("shop"), "it is not seen any more");
        saw(&candidates, Event::Delete(web("till")));
        assert!(!may_be("shop") && !may_be("till"));
    }

    #[test]
    fn a_watch_of_one_namespace_says_nothing_of_another() {
        let candidates = Candidates::default();
        candidates.saw::<Deployment>(Some("shop"), &Ok(Event::InitDone));
        assert!(!candidates.may_be::<Deployment>("shop"));
        assert!(candidates.may_be::<Deployment>("till"));
    }
}
