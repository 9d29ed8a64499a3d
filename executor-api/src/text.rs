//! Text of the operating system in JSON: words and paths are bytes on Unix, JSON strings are not.
//!
//! A word that is UTF-8 stands as a JSON string; any other as `{"hex": "6dff"}`. So every argument, name and path that
//! the system allows crosses the border unchanged, and a document stays readable where it can.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// One word on its way into JSON.
struct Out<'a>(&'a OsStr);

impl Serialize for Out<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.0.to_str() {
            return serializer.serialize_str(text);
        }
        let hex = self.0.as_bytes().iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            _ = write!(hex, "{byte:02x}");
            hex
        });
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex)?;
        map.end()
    }
}

/// One word on its way out of JSON.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct In(OsString);

/// Reads either form as it comes: what serde derives for a choice of two would copy each word first.
struct InVisitor;

impl<'de> Visitor<'de> for InVisitor {
    type Value = In;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or {\"hex\": …} for bytes that are not UTF-8")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<In, E> {
        Ok(In(text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<In, E> {
        Ok(In(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<In, A::Error> {
        let entry: Option<(String, String)> = map.next_entry()?;
        let hex = entry.filter(|(key, _)| key == "hex").and_then(|(_, hex)| unhex(&hex));
        let only = map.next_key::<String>()?.is_none();
        hex.filter(|_| only)
            .map(|bytes| In(OsString::from_vec(bytes)))
            .ok_or_else(|| A::Error::custom("bytes are {\"hex\": …} with an even number of hexadecimal digits"))
    }
}

impl<'de> Deserialize<'de> for In {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InVisitor)
    }
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

/// `#[serde(with = "text::word")]` for an [`OsString`] or a path.
pub(crate) mod word {
    use super::{Deserialize, Deserializer, In, OsStr, OsString, Out, Serialize, Serializer};

    pub(crate) fn serialize<T: AsRef<OsStr>, S: Serializer>(word: &T, serializer: S) -> Result<S::Ok, S::Error> {
        Out(word.as_ref()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: From<OsString>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        In::deserialize(deserializer).map(|word| word.0.into())
    }
}

/// `#[serde(with = "text::optional")]` for an optional word or path.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, In, OsStr, OsString, Out, Serialize, Serializer};

    pub(crate) fn serialize<T: AsRef<OsStr>, S: Serializer>(word: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        word.as_ref().map(|word| Out(word.as_ref())).serialize(to)
    }

    pub(crate) fn deserialize<'de, T: From<OsString>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        Option::<In>::deserialize(from).map(|word| word.map(|word| word.0.into()))
    }
}

/// `#[serde(with = "text::words")]` for a list of words or paths.
pub(crate) mod words {
    use super::{Deserialize, Deserializer, In, OsStr, OsString, Out, Serializer};

    pub(crate) fn serialize<T: AsRef<OsStr>, S: Serializer>(words: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(words.iter().map(|word| Out(word.as_ref())))
    }

    pub(crate) fn deserialize<'de, T: From<OsString>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        Vec::<In>::deserialize(from).map(|words| words.into_iter().map(|word| word.0.into()).collect())
    }
}

/// `#[serde(with = "text::env")]` for an environment: an object, `{"NAME": "value"}`, where every name is UTF-8; else a list
/// of `[name, value]`. Either is read.
pub(crate) mod env {
    use serde::de::SeqAccess;

    use super::{BTreeMap, Deserializer, Error, In, MapAccess, OsString, Out, Serializer, Visitor, fmt};

    type Env = BTreeMap<OsString, OsString>;

    pub(crate) fn serialize<S: Serializer>(env: &Env, serializer: S) -> Result<S::Ok, S::Error> {
        if env.keys().any(|name| name.to_str().is_none()) {
            return serializer.collect_seq(env.iter().map(|(name, value)| (Out(name), Out(value))));
        }
        serializer.collect_map(env.iter().map(|(name, value)| (name.to_str().unwrap_or_default(), Out(value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Env, D::Error> {
        deserializer.deserialize_any(EnvVisitor)
    }

    struct EnvVisitor;

    impl<'de> Visitor<'de> for EnvVisitor {
        type Value = Env;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of names and values, or a list of [name, value]")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Env, A::Error> {
            let mut env = Env::new();
            while let Some((name, In(value))) = map.next_entry::<String, In>()? {
                add::<A::Error>(&mut env, name.into(), value)?;
            }
            Ok(env)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Env, A::Error> {
            let mut env = Env::new();
            while let Some((In(name), In(value))) = pairs.next_element()? {
                add::<A::Error>(&mut env, name, value)?;
            }
            Ok(env)
        }
    }

    /// A name that is given twice is a mistake of which nobody knows which one was meant.
    fn add<E: Error>(env: &mut Env, name: OsString, value: OsString) -> Result<(), E> {
        env.insert(name, value).map_or(Ok(()), |_| Err(E::custom("a name of the environment is given twice")))
    }
}

/// `#[serde(with = "text::millis")]` for an optional duration, as whole milliseconds.
pub(crate) mod millis {
    use std::time::Duration;

    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Option::<u64>::deserialize(deserializer).map(|millis| millis.map(Duration::from_millis))
    }
}

/// `#[serde(with = "text::unix_millis")]` for an optional time, as whole milliseconds since 1970.
pub(crate) mod unix_millis {
    use std::time::{Duration, SystemTime};

    use super::{Deserializer, Serializer, millis};

    pub(crate) fn serialize<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        let since = time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        millis::serialize(&since, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        let since: Option<Duration> = millis::deserialize(deserializer)?;
        Ok(since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)))
    }
}

/// Whether a field need not be written: it has the value that a reader would assume.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_survives_the_way_through_json() {
        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Document(#[serde(with = "words")] Vec<OsString>);
        let all: Vec<u8> = (0..=255).collect();
        let document = Document(vec![OsString::from_vec(all), "plain é".into(), OsString::new()]);
        let json = serde_json::to_string(&document).expect("words serialize");
        assert!(json.contains("\"plain é\""), "UTF-8 stays readable: {json}");
        assert_eq!(serde_json::from_str::<Document>(&json).ok(), Some(document));
    }

    #[test]
    fn an_environment_is_an_object_where_it_can_be() {
        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Document(#[serde(with = "env")] BTreeMap<OsString, OsString>);
        let odd = OsString::from_vec(vec![0xff]);
        let readable = Document(BTreeMap::from([("A".into(), "1".into()), ("B".into(), odd.clone())]));
        let json = serde_json::to_string(&readable).expect("it serializes");
        assert_eq!(json, r#"{"A":"1","B":{"hex":"ff"}}"#);
        assert_eq!(serde_json::from_str::<Document>(&json).ok(), Some(readable));
        let other = Document(BTreeMap::from([(odd, "1".into())]));
        let json = serde_json::to_string(&other).expect("it serializes");
        assert_eq!(json, r#"[[{"hex":"ff"},"1"]]"#);
        assert_eq!(serde_json::from_str::<Document>(&json).ok(), Some(other));
        for twice in [r#"{"A":"1","A":"2"}"#, r#"[["A","1"],["A","2"]]"#] {
            assert!(serde_json::from_str::<Document>(twice).is_err(), "{twice} was read");
        }
    }

    #[test]
    fn bad_hex_is_refused() {
        for json in [r#"{"hex":"0"}"#, r#"{"hex":"zz"}"#, r#"{"hex":"00","more":1}"#, "{}", "1"] {
            assert!(serde_json::from_str::<In>(json).is_err(), "{json} was read");
        }
    }
}
