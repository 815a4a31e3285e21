//! Filters that order values or add them up: Python refuses where minijinja has an answer for
//! everything.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, State, filters};

use super::super::bad;
use super::super::operators::compare;
use super::lazy::tuple;

/// Filters that order values: Python refuses where minijinja orders everything.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("fedshield_sort", filters::sort);
    environment.add_filter("sum", sum);
    environment.add_filter("fedshield_sum", filters::sum);
    environment.add_filter("fedshield_min", filters::min);
    environment.add_filter("fedshield_max", filters::max);
    environment.add_filter("fedshield_dictsort", filters::dictsort);
    for (name, eager) in
        [("sort", "fedshield_sort"), ("min", "fedshield_min"), ("max", "fedshield_max")]
    {
        environment.add_filter(
            name,
            move |state: &mut State<'_, '_>, value: Value, arguments: Kwargs| {
                let attribute: Option<Value> = arguments.get("attribute")?;
                if value.is_none() {
                    return Err(bad("none has no items"));
                }
                let items = value.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?;
                ordered(&keys(&items, attribute.as_ref())?)?;
                state.apply_filter(eager, &[Value::from(items), Value::from(arguments)])
            },
        );
    }
    environment.add_filter(
        "dictsort",
        |state: &mut State<'_, '_>, value: Value, arguments: Kwargs| -> Result<Value, Error> {
            let by = arguments.get::<Option<String>>("by")?.unwrap_or_else(|| "key".to_owned());
            let keys = value.try_iter()?.collect::<Vec<Value>>();
            match by.as_str() {
                "key" => ordered(&keys)?,
                "value" => {
                    let values = keys.iter().map(|key| value.get_item(key));
                    ordered(&values.collect::<Result<Vec<Value>, Error>>()?)?;
                }
                _ => return Err(bad("dictsort sorts by \"key\" or \"value\"")),
            }
            let sorted =
                state.apply_filter("fedshield_dictsort", &[value, Value::from(arguments)])?;
            sorted.try_iter()?.map(tuple).collect()
        },
    );
}

/// What items are ordered by.
fn keys(items: &[Value], attribute: Option<&Value>) -> Result<Vec<Value>, Error> {
    let Some(attribute) = attribute.filter(|attribute| !attribute.is_none()) else {
        return Ok(items.to_vec());
    };
    let name = attribute.as_str().filter(|name| !name.contains(['.', ',']));
    let name = name.ok_or_else(|| bad("an attribute to sort by is the name of one"))?;
    items.iter().map(|item| item.get_attr(name)).collect()
}

/// # Errors
/// Items without an order in Python.
fn ordered(items: &[Value]) -> Result<(), Error> {
    items.windows(2).try_for_each(|two| {
        compare(&two[0], &two[1])?
            .map(|_: Ordering| ())
            .ok_or_else(|| bad("values that are no numbers (nan) have no order"))
    })
}

fn sum(state: &mut State<'_, '_>, value: Value, arguments: Kwargs) -> Result<Value, Error> {
    let attribute: Option<Value> = arguments.get("attribute")?;
    let items = value.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?;
    let mut items = keys(&items, attribute.as_ref())?;
    if arguments.has("start") {
        items.insert(0, arguments.get("start")?);
    }
    arguments.assert_all_used()?;
    let is_number = |item: &Value| matches!(item.kind(), ValueKind::Number | ValueKind::Bool);
    if value.is_none() || !items.iter().all(is_number) {
        return Err(bad("only numbers have a sum"));
    }
    state.apply_filter("fedshield_sum", &[Value::from(items)])
}
