//! JSON schemas of what has its own way into JSON; all other types derive theirs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::identity::Account;
use crate::{PluginName, TaskName};

/// A word or a path, as `text` writes it.
pub(crate) struct Word;

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let hex = json_schema!({
            "type": "object",
            "properties": { "hex": { "type": "string", "pattern": "^([0-9a-fA-F]{2})*$" } },
            "required": ["hex"],
            "additionalProperties": false,
        });
        json_schema!({
            "description": "Text; bytes that are not UTF-8 as {\"hex\": …}.",
            "anyOf": [{ "type": "string" }, hex],
        })
    }
}

/// An environment, as `text` writes it.
pub(crate) struct Env;

impl JsonSchema for Env {
    fn schema_name() -> Cow<'static, str> {
        "Env".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let object = generator.subschema_for::<BTreeMap<String, Word>>();
        let pairs = generator.subschema_for::<Vec<[Word; 2]>>();
        json_schema!({ "anyOf": [object, pairs] })
    }
}

impl JsonSchema for Account {
    fn schema_name() -> Cow<'static, str> {
        "Account".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The number or the name of a user or group.",
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX - 1 }, { "type": "string", "minLength": 1 }],
        })
    }
}

impl JsonSchema for TaskName {
    fn schema_name() -> Cow<'static, str> {
        "TaskName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9_][a-z0-9._-]{0,63}$" })
    }
}

impl JsonSchema for PluginName {
    fn schema_name() -> Cow<'static, str> {
        "PluginName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9_]{1,32}$" })
    }
}

/// The schema of an integer with bounds.
macro_rules! bounded {
    ($name:ident, $what:literal, $min:literal, $max:literal) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let what = concat!("A ", $what, ".");
                schemars::json_schema!({ "description": what, "type": "integer", "minimum": $min, "maximum": $max })
            }
        }
    };
}
pub(crate) use bounded;
