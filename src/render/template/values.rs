//! The secrets of a template as minijinja's values, and what went wrong with
//! them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};
use zeroize::Zeroizing;

use super::problem::{TemplateProblem, near};
use crate::render::format::Pair;

/// How many missing names are remembered.
const MOST_MISSING: usize = 64;
/// Where the filters find the secrets; no variable can have this name.
const HIDDEN: &str = " ";

/// The secrets of one render.
pub(super) struct Secrets {
    values: BTreeMap<String, Value>,
    trouble: Trouble,
    missing: Mutex<Vec<Missing>>,
}

/// The first thing that could not be reported where it happened.
type Trouble = Arc<Mutex<Option<TemplateProblem>>>;

/// A name that was looked up in vain.
struct Missing {
    name: String,
    /// Whether it was looked up in `secrets`, perhaps by a computed name.
    in_map: bool,
}

/// A lock that nobody can have poisoned in a way that matters.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Secrets {
    pub(super) fn new(pairs: &[Pair<'_>]) -> Result<Self, TemplateProblem> {
        let trouble = Trouble::default();
        let mut values = BTreeMap::new();
        for pair in pairs {
            let value = match std::str::from_utf8(pair.value) {
                Ok(text) => Value::from(text),
                Err(_) => Value::from_object(Binary {
                    key: pair.key.to_owned(),
                    bytes: Zeroizing::new(pair.value.to_vec()),
                    trouble: Arc::clone(&trouble),
                }),
            };
            if values.insert(pair.key.to_owned(), value).is_some() {
                let key = pair.key.to_owned();
                return Err(TemplateProblem::Duplicate { key });
            }
        }
        Ok(Self {
            values,
            trouble,
            missing: Mutex::default(),
        })
    }

    /// What could not be reported where it happened.
    pub(super) fn trouble(&self) -> Option<TemplateProblem> {
        locked(&self.trouble).take()
    }

    /// The problem of using what is not there. A name is told only where it is
    /// written out: a computed one could be a value.
    pub(super) fn missing(&self, literal_subscripts: bool) -> TemplateProblem {
        let last = locked(&self.missing).pop();
        let last = last.filter(|missing| literal_subscripts || !missing.in_map);
        let Some(Missing { name: key, .. }) = last else {
            return TemplateProblem::Undefined;
        };
        let known: Vec<_> = self.values.keys().map(String::as_str).collect();
        let meant = near(&key, &known).map(str::to_owned);
        TemplateProblem::Missing { key, meant }
    }

    /// The names of all, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    fn get(&self, name: &str, in_map: bool) -> Option<Value> {
        let found = self.values.get(name).cloned();
        if found.is_none() {
            let mut missing = locked(&self.missing);
            if missing.len() < MOST_MISSING {
                let name = name.to_owned();
                missing.push(Missing { name, in_map });
            }
        }
        found
    }
}

/// The outermost variables.
pub(super) fn root(secrets: &Arc<Secrets>) -> Value {
    Value::from_object(Root(Arc::clone(secrets)))
}

/// The secrets of a running render.
fn all(state: &State<'_, '_>) -> Option<Arc<All>> {
    state.lookup(HIDDEN)?.downcast_object::<All>()
}

/// Forgets the missing name that a filter or a test just dealt with.
pub(super) fn forgive(state: &State<'_, '_>) {
    if let Some(all) = all(state) {
        locked(&all.0.missing).pop();
    }
}

/// A list that nothing but a filter makes a text of.
pub(super) fn list(state: &State<'_, '_>, items: Vec<Value>) -> Value {
    let trouble = all(state).map(|all| Arc::clone(&all.0.trouble));
    Value::from_object(List {
        items,
        trouble: trouble.unwrap_or_default(),
    })
}

/// Writes a value into the file.
pub(super) fn print(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return Ok(out.write_str(text)?);
    }
    if let Some(binary) = value.downcast_object_ref::<Binary>() {
        return Err(refused(binary.not_text()));
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(()),
        ValueKind::Bool => Ok(out.write_str(lower(value))?),
        ValueKind::Number => Ok(write!(out, "{value}")?),
        _ => Err(refused(TemplateProblem::NotPrintable)),
    }
}

/// A boolean as configuration files have it; minijinja writes it as Python.
pub(super) fn lower(boolean: &Value) -> &'static str {
    if boolean.is_true() { "true" } else { "false" }
}

/// A problem of ours on its way through the engine.
pub(super) fn refused(problem: TemplateProblem) -> Error {
    Error::new(ErrorKind::InvalidOperation, "").with_source(problem)
}

struct Root(Arc<Secrets>);

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == "secrets" || key == HIDDEN {
            return Some(Value::from_object(All(Arc::clone(&self.0))));
        }
        self.0.get(key, false)
    }
}

/// The map of all secrets.
pub(super) struct All(pub(super) Arc<Secrets>);

impl Object for All {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?, true)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = self.0.values.keys();
        Enumerator::Values(keys.map(Value::from).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.values.len())
    }

    fn custom_cmp(self: &Arc<Self>, _: &DynObject) -> Option<Ordering> {
        Some(Ordering::Equal)
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        note(&self.0.trouble, TemplateProblem::NotPrintable);
        Ok(())
    }
}

/// A list of ours: minijinja would print its own, at no known cost.
struct List {
    items: Vec<Value>,
    trouble: Trouble,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        note(&self.trouble, TemplateProblem::NotPrintable);
        Ok(())
    }
}

/// A value that is no text: a map only so that it learns of being searched
/// (`in`) and of loops.
pub(super) struct Binary {
    key: String,
    bytes: Zeroizing<Vec<u8>>,
    trouble: Trouble,
}

impl Binary {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn not_text(&self) -> TemplateProblem {
        let key = self.key.clone();
        TemplateProblem::NotText { key }
    }

    /// It was used as a text where that cannot be refused.
    fn misused(&self) {
        note(&self.trouble, self.not_text());
    }
}

fn note(trouble: &Trouble, problem: TemplateProblem) {
    locked(trouble).get_or_insert(problem);
}

impl Object for Binary {
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        self.misused();
        None
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.misused();
        Enumerator::Empty
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn custom_cmp(self: &Arc<Self>, _: &DynObject) -> Option<Ordering> {
        self.misused();
        None
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.misused();
        Ok(())
    }
}

/// Objects must be printable; these say only what they are.
macro_rules! without_contents {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

without_contents!(All, Binary, List, Root);
