//! Filters whose result is a generator in Jinja, and the list of what another one yields.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error, State, filters};

use super::super::bad;
use super::super::objects::Generator;
use super::super::python::{self, Shape};

/// Filters whose result is a generator.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("fedshield_map", filters::map);
    environment.add_filter("fedshield_select", filters::select);
    environment.add_filter("fedshield_reject", filters::reject);
    environment.add_filter("fedshield_selectattr", filters::selectattr);
    environment.add_filter("fedshield_rejectattr", filters::rejectattr);
    environment.add_filter("fedshield_batch", filters::batch);
    environment.add_filter("fedshield_slice", filters::slice);
    environment.add_filter("fedshield_unique", filters::unique);
    environment.add_filter("fedshield_items", filters::items);
    for (name, eager) in [
        ("map", "fedshield_map"),
        ("select", "fedshield_select"),
        ("reject", "fedshield_reject"),
        ("selectattr", "fedshield_selectattr"),
        ("rejectattr", "fedshield_rejectattr"),
        ("batch", "fedshield_batch"),
        ("slice", "fedshield_slice"),
        ("unique", "fedshield_unique"),
    ] {
        let filter = move |state: &mut State<'_, '_>, given: Rest<Value>, named: Kwargs| {
            let mut arguments = given.0;
            if named.args().next().is_some() {
                arguments.push(Value::from(named));
            }
            let list = state.apply_filter(eager, &arguments)?;
            let items: Result<Vec<Value>, Error> = list.try_iter()?.checked().collect();
            items.map(Generator::value)
        };
        environment.add_filter(name, filter);
    }
    environment.add_filter("items", |value: &Value| {
        let pairs: Result<Vec<Value>, Error> =
            filters::items(value)?.try_iter()?.checked().collect();
        let pairs = pairs?.into_iter().map(tuple).collect::<Result<Vec<Value>, Error>>()?;
        Ok::<_, Error>(Generator::value(pairs))
    });
    environment.add_filter("reverse", |value: &Value| -> Result<Value, Error> {
        if value.as_str().is_some() {
            return filters::reverse(value);
        }
        let reversed = |value: &Value| -> Result<Vec<Value>, Error> {
            let mut items = value.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?;
            items.reverse();
            Ok(items)
        };
        match python::shape(value) {
            Shape::Unknown if value.kind() == ValueKind::Iterable => {
                reversed(value).map(Value::from)
            }
            Shape::List
            | Shape::Tuple
            | Shape::Map
            | Shape::Range
            | Shape::View
            | Shape::Undefined => reversed(value).map(Generator::value),
            _ => Err(bad(format!("a value of kind {} cannot be reversed", value.kind()))),
        }
    });
}

pub(super) fn tuple(pair: Value) -> Result<Value, Error> {
    Ok(Value::from(Tuple::from(pair.try_iter()?.collect::<Vec<Value>>())))
}
