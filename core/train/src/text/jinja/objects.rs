//! Python's values that are neither lists nor dictionaries: generators, the views of a dictionary,
//! and ranges. Templates rarely print them, but count them, test them and iterate over them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, Value, ValueKind};

/// What filters such as `map` and `selectattr` return: it has no length and no index, counts as
/// true even if it is empty, and its values can be taken only once.
#[derive(Debug)]
pub(super) struct Generator(Arc<Mutex<VecDeque<Value>>>);

impl Generator {
    pub(super) fn value(items: impl IntoIterator<Item = Value>) -> Value {
        Value::from_object(Self(Arc::new(Mutex::new(items.into_iter().collect()))))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let items = Arc::clone(&self.0);
        let next = move || items.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        Enumerator::Iter(Box::new(std::iter::from_fn(next)))
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        // Without this, an index would take so many values.
        Some(Value::UNDEFINED)
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// `items()`, `keys()` or `values()` of a dictionary.
#[derive(Debug)]
pub(super) struct View {
    /// `dict_items`, `dict_keys` or `dict_values`.
    pub(super) name: &'static str,
    pub(super) items: Vec<Value>,
}

impl View {
    /// The view of a dictionary by the name of its method.
    pub(super) fn of(map: &Value, method: &str) -> Option<Value> {
        let name = match method {
            "items" => "dict_items",
            "keys" => "dict_keys",
            "values" => "dict_values",
            _ => return None,
        };
        if map.kind() != ValueKind::Map {
            return None;
        }
        let pair = |key: Value| {
            let value = map.get_item(&key).ok()?;
            Some(match name {
                "dict_items" => Value::from(Tuple::from(vec![key, value])),
                "dict_keys" => key,
                _ => value,
            })
        };
        let items = map.try_iter().ok()?.filter_map(pair).collect();
        Some(Value::from_object(Self { name, items }))
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::UNDEFINED)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

/// Python's `range`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    start: i64,
    end: i64,
    step: i64,
}

/// The longest range that Jinja's sandbox allows.
const MOST_IN_RANGE: i64 = 100_000;

impl Range {
    pub(super) fn of(arguments: &[i64]) -> Option<Self> {
        let range = match *arguments {
            [end] => Self { start: 0, end, step: 1 },
            [start, end] => Self { start, end, step: 1 },
            [start, end, step] => Self { start, end, step },
            _ => return None,
        };
        (range.step != 0 && range.count()? <= MOST_IN_RANGE).then_some(range)
    }

    fn count(self) -> Option<i64> {
        let length = match self.step > 0 {
            true => self.end.checked_sub(self.start)?,
            false => self.start.checked_sub(self.end)?,
        };
        let step = self.step.checked_abs()?;
        Some(if length <= 0 { 0 } else { (length - 1) / step + 1 })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            1 => write!(f, "range({}, {})", self.start, self.end),
            step => write!(f, "range({}, {}, {step})", self.start, self.end),
        }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (index, count) = (key.as_i64()?, self.count()?);
        let index = if index < 0 { index + count } else { index };
        (0..count).contains(&index).then(|| Value::from(self.start + index * self.step))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let (start, step) = (self.start, self.step);
        let at = move |index: i64| Value::from(start + index * step);
        Enumerator::Iter(Box::new((0..self.count().unwrap_or(0)).map(at)))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.count().and_then(|count| usize::try_from(count).ok())
    }
}
