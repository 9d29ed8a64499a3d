//! Whether the layouts of a host and a plugin fit, and if not, in which field they differ, on one line.
//!
//! `abi_stable`'s own report takes hundreds of lines, most of them on the types around the one that differs. It also
//! remembers every layout that it has seen, and holds later ones against it: not here, since plugins never meet.

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityError, AbiInstabilityErrors, CheckingGlobals, ExpectedFound,
    check_layout_compatibility_with_globals,
};
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};

/// Checks in both directions: a newer plugin has more than `ours`, an older one less. Prefix types carry their own count
/// of fields at run time, and every other type must be equal either way, so one direction that fits is enough.
///
/// # Errors
///
/// The difference on one line, and the whole report.
pub(super) fn check(ours: &'static TypeLayout, theirs: &'static TypeLayout) -> Result<(), (String, String)> {
    let Err(newer) = fits(ours, theirs) else { return Ok(()) };
    let Err(older) = fits(theirs, ours) else { return Ok(()) };
    // A prefix type that is shorter than the other is wrong in one direction and right in the other: what counts is
    // what is wrong beside that. Where nothing is, each side has something that the other lacks.
    let real = deepest(&newer, false).map(|error| describe(error, Side::Expected));
    let real = real.or_else(|| deepest(&older, false).map(|error| describe(error, Side::Found)));
    let line = real.or_else(|| deepest(&newer, true).map(|error| describe(error, Side::Expected)));
    Err((line.unwrap_or_else(|| "an unknown place".into()), newer.to_string()))
}

fn fits(expected: &'static TypeLayout, found: &'static TypeLayout) -> Result<(), AbiInstabilityErrors> {
    // Not with the memory of the process: the answer would depend on which plugins came before. It holds types that
    // have as many fields against each other in either direction, so that a host that has seen an older plugin
    // refuses the next one of its own version.
    check_layout_compatibility_with_globals(expected, found, &CheckingGlobals::new())
}

/// Which side of abi_stable's pairs is this host's.
#[derive(Clone, Copy)]
enum Side {
    Expected,
    Found,
}

/// The error furthest from the module: those around it only say that something inside differs.
fn deepest(errors: &AbiInstabilityErrors, growth: bool) -> Option<&AbiInstabilityError> {
    let told = errors.errors.iter().filter(|error| !error.errs.is_empty() && is_growth(error) == growth);
    told.max_by_key(|error| error.stack_trace.len())
}

fn is_growth(error: &AbiInstabilityError) -> bool {
    let in_prefix = error
        .stack_trace
        .last()
        .and_then(|place| layout(&place.expected))
        .is_some_and(|layout| layout.is_prefix_kind());
    let size =
        |error: &AbiInstability| matches!(error, AbiInstability::FieldCountMismatch(_) | AbiInstability::Size(_));
    in_prefix && error.errs.iter().all(size)
}

fn layout(place: &TLFieldOrFunction) -> Option<&'static TypeLayout> {
    match place {
        TLFieldOrFunction::Field(field) => Some(field.layout()),
        TLFieldOrFunction::Function(_) => None,
    }
}

fn describe(error: &AbiInstabilityError, ours: Side) -> String {
    let path: Vec<&str> = error.stack_trace.iter().filter_map(|place| named(&place.expected)).collect();
    let types: Vec<_> = error.stack_trace.iter().filter_map(|place| layout(&place.expected)).collect();
    // A type that is another one is told by the type around it, anything else by the type itself.
    let around = match error.errs.first() {
        Some(AbiInstability::Name(_)) => types.len().saturating_sub(1),
        _ => types.len(),
    };
    let of_ours = types.iter().take(around).rev().find(|layout| layout.package() == "executor-api");
    let of_ours = of_ours.map(|layout| format!(", in {}", type_name(layout))).unwrap_or_default();
    format!("{}{of_ours}: {}", path.join("."), difference(error, ours))
}

/// The name of a place as an author wrote it; none for those that `abi_stable`'s wrappers add.
fn named(place: &TLFieldOrFunction) -> Option<&str> {
    let TLFieldOrFunction::Field(field) = place else { return None };
    let name = field.name();
    let added = ["0", "obj", "vtable", "__returns"].contains(&name) || name.starts_with("field_") || name.contains(',');
    (!added).then_some(name)
}

/// The type's name; that of the trait for the table of its methods.
fn type_name(layout: &TypeLayout) -> String {
    let module = layout.mod_path().to_string();
    match layout.name() {
        "VTable" => module.rsplit("::").next().unwrap_or_default().trim_end_matches("_trait").to_owned(),
        name => name.to_owned(),
    }
}

fn difference(error: &AbiInstabilityError, ours: Side) -> String {
    let pair = |expected: String, found: String| match ours {
        Side::Expected => (expected, found),
        Side::Found => (found, expected),
    };
    let (here, there) = match error.errs.first() {
        Some(AbiInstability::Name(ExpectedFound { expected, found })) => pair(expected.to_string(), found.to_string()),
        Some(AbiInstability::UnexpectedField(ExpectedFound { expected, found })) => {
            pair(expected.name().to_owned(), found.name().to_owned())
        }
        Some(other) => match error.stack_trace.last().and_then(unequal_field) {
            Some((expected, found)) => pair(expected, found),
            // The name of the variant says the kind; what it holds can be pages.
            None => return format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        },
        None => return "something in it".to_owned(),
    };
    format!("this host has {here}, the plugin has {there}")
}

/// The first place at which the two types do not have a field of one name.
fn unequal_field(place: &ExpectedFound<TLFieldOrFunction>) -> Option<(String, String)> {
    let names = |place| layout(place)?.get_fields().map(|fields| fields.iter().map(|field| field.name()).collect());
    let (expected, found): (Vec<_>, Vec<_>) = (names(&place.expected)?, names(&place.found)?);
    let word = |names: &[&str], at: usize| names.get(at).map_or("no more fields".to_owned(), |name| (*name).to_owned());
    let unequal = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at))?;
    Some((word(&expected, unequal), word(&found, unequal)))
}
