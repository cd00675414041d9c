//! The macros that declare sections and words.

use super::fields::Fields;
use super::key::Description;

/// Keys that stand together in a map.
pub trait Keys {
    /// What they become.
    type Value;

    /// The keys, described.
    fn description() -> Description;

    /// Reads them; `None` when one that must be there is missing or wrong.
    fn read_fields(fields: &mut Fields<'_>) -> Option<Self::Value>;
}

/// Declares a struct and describes the keys that it is read from.
///
/// ```text
/// section! {
///     /// What the section is about.
///     #[check(function)]            // optional: `fn(&mut Self, &Node<'_>)` for rules between keys
///     #[schema(json!({…}))]         // optional: JSON Schema keywords for the same rules
///     pub struct Name {
///         required {                // optional: keys without a default
///             /// What it is.
///             pub url: String as Url;
///         }
///         /// What it is.
///         pub timeout: Duration = Duration::from_secs(10), above(0.0), example("30s");
///         /// A field may be named otherwise than its key, and be read by another [`Shape`].
///         pub hold @ "for": Duration = Duration::ZERO;
///         flatten { pub http: Settings as HttpKeys; }   // optional: the keys of another section
///         unwritten { pub interval: Duration = Duration::ZERO; }   // optional: no keys
///     }
/// }
/// ```
///
/// What follows a default are methods of [`Limits`](super::Limits). A section without required
/// keys implements `Default`.
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $(#[check($check:path)])?
        $(#[schema($schema:expr)])?
        $(#[derive($($derive:ident),+)])?
        $vis:vis struct $name:ident {
            $(required {
                $(
                    $(#[doc = $rdoc:literal])+
                    $rvis:vis $rfield:ident $(@ $rkey:literal)?: $rty:ty $(as $rshape:ty)?
                    $(, $roption:ident($($rarg:expr),*))*;
                )+
            })?
            $(
                $(#[doc = $kdoc:literal])+
                $kvis:vis $field:ident $(@ $key:literal)?: $ty:ty $(as $shape:ty)? = $default:expr
                $(, $option:ident($($arg:expr),*))*;
            )*
            $(flatten {
                $(#[doc = $fdoc:literal])+
                $fvis:vis $ffield:ident: $fty:ty as $fshape:ty;
            })?
            $(unwritten {
                $(
                    $(#[doc = $udoc:literal])+
                    $uvis:vis $ufield:ident: $uty:ty = $udefault:expr;
                )+
            })?
        }
    ) => {
        $crate::section!(@derive [$($($derive),+)?]
        $(#[doc = $doc])+
        $vis struct $name {
            $($(
                $(#[doc = $rdoc])+
                $rvis $rfield: $rty,
            )+)?
            $(
                $(#[doc = $kdoc])+
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`.")]
                $kvis $field: $ty,
            )*
            $(
                $(#[doc = $fdoc])+
                $fvis $ffield: $fty,
            )?
            $($(
                $(#[doc = $udoc])+
                $uvis $ufield: $uty,
            )+)?
        });

        $crate::section!(@default $name [$($($rfield)+)?] {
            $($field: $default,)*
            $($ffield: <$fty>::default(),)?
            $($($ufield: $udefault,)+)?
        });

        impl $crate::describe::Keys for $name {
            type Value = Self;

            fn description() -> $crate::describe::Description {
                $crate::describe::Description {
                    name: stringify!($name),
                    doc: $crate::describe::one_text(concat!($($doc),+)),
                    keys: vec![
                        $($($crate::describe::Key {
                            name: $crate::section!(@key $rfield $($rkey)?),
                            doc: $crate::describe::one_text(concat!($($rdoc),+)),
                            kind: <$crate::section!(@shape $rty $(as $rshape)?) as $crate::describe::Shape>::kind(),
                            is_required: true,
                            default: None,
                            limits: $crate::describe::Limits::NONE$(.$roption($($rarg),*))*,
                        },)+)?
                        $({
                            type Of = $crate::section!(@shape $ty $(as $shape)?);
                            let default: $ty = $default;
                            let limits = $crate::describe::Limits::NONE$(.$option($($arg),*))*;
                            $crate::describe::Key {
                                name: $crate::section!(@key $field $($key)?),
                                doc: $crate::describe::one_text(concat!($($kdoc),+)),
                                kind: <Of as $crate::describe::Shape>::kind(),
                                is_required: limits.must_be_set,
                                default: <Of as $crate::describe::Shape>::show(&default),
                                limits,
                            }
                        },)*
                    ],
                    flattened: vec![$(<$fshape as $crate::describe::Keys>::description())?],
                    schema: $crate::section!(@option $($schema)?),
                }
            }

            fn read_fields(fields: &mut $crate::describe::Fields<'_>) -> Option<Self> {
                let before = fields.owning_secrets(
                    [
                        false,
                        $($($crate::describe::Limits::NONE$(.$roption($($rarg),*))*.is_secret,)+)?
                        $($crate::describe::Limits::NONE$(.$option($($arg),*))*.is_secret,)*
                    ]
                    .contains(&true),
                );
                $($(
                    let $rfield = fields.required_value::<$crate::section!(@shape $rty $(as $rshape)?)>(
                        $crate::section!(@key $rfield $($rkey)?),
                        &$crate::describe::Limits::NONE$(.$roption($($rarg),*))*,
                    );
                )+)?
                $(
                    let $field = fields
                        .value::<$crate::section!(@shape $ty $(as $shape)?)>(
                            $crate::section!(@key $field $($key)?),
                            &$crate::describe::Limits::NONE$(.$option($($arg),*))*,
                        )
                        .unwrap_or_else(|| $default);
                )*
                fields.owning_secrets(before);
                $(let $ffield = <$fshape as $crate::describe::Keys>::read_fields(fields);)?
                let section = Self {
                    $($($rfield: $rfield?,)+)?
                    $($field,)*
                    $($ffield: $ffield?,)?
                    $($($ufield: $udefault,)+)?
                };
                $(
                    let mut section = section;
                    $check(&mut section, fields.node());
                )?
                Some(section)
            }
        }

        impl $crate::describe::Shape for $name {
            type Value = Self;

            fn kind() -> $crate::describe::Kind {
                $crate::describe::Kind::Section(<Self as $crate::describe::Keys>::description)
            }

            fn read(
                node: &$crate::describe::Node<'_>,
                _limits: &$crate::describe::Limits,
            ) -> Option<Self> {
                let mut fields = node.fields_of(<Self as $crate::describe::Keys>::description)?;
                let section = <Self as $crate::describe::Keys>::read_fields(&mut fields);
                fields.finish_of(<Self as $crate::describe::Keys>::description);
                section
            }
        }
    };
    (@derive [] $($item:tt)+) => {
        #[derive(Debug, Clone, PartialEq)]
        $($item)+
    };
    (@derive [$($derive:ident),+] $($item:tt)+) => {
        #[derive($($derive),+)]
        $($item)+
    };
    (@default $name:ident [] {$($body:tt)*}) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($body)* }
            }
        }
    };
    (@default $name:ident [$($required:ident)+] {$($body:tt)*}) => {};
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
    (@shape $ty:ty) => { $ty };
    (@shape $ty:ty as $shape:ty) => { $shape };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
}

/// Declares which words stand for the values of an enum, and what each means.
#[macro_export]
macro_rules! worded {
    ($name:ty { $($word:literal => $value:expr, $doc:literal;)+ }) => {
        impl $crate::describe::Shape for $name {
            type Value = Self;

            fn kind() -> $crate::describe::Kind {
                let words = [$(($word, $doc)),+];
                let words = words.map(|(word, doc)| $crate::describe::Word { word, doc });
                $crate::describe::Kind::Words(words.to_vec())
            }

            fn read(
                node: &$crate::describe::Node<'_>,
                limits: &$crate::describe::Limits,
            ) -> Option<Self> {
                let words = vec![$(($crate::describe::Word { word: $word, doc: $doc }, $value)),+];
                $crate::describe::read_word(node, limits, words)
            }

            fn show(value: &Self) -> Option<String> {
                [$(($word, $value)),+]
                    .into_iter()
                    .find(|(_, known)| known == value)
                    .map(|(word, _)| word.to_owned())
            }
        }
    };
}

/// Declares that a type is read from the keys of a section and a function that converts them:
/// `fn(Keys, &Node<'_>) -> Type`, or `-> Option<Type>` when that may fail.
#[macro_export]
macro_rules! written {
    ($name:ty as $keys:ty, $convert:path) => {
        impl $crate::describe::Shape for $name {
            type Value = Self;

            fn kind() -> $crate::describe::Kind {
                <$keys as $crate::describe::Shape>::kind()
            }

            fn read(
                node: &$crate::describe::Node<'_>,
                limits: &$crate::describe::Limits,
            ) -> Option<Self> {
                let keys = <$keys as $crate::describe::Shape>::read(node, limits)?;
                $convert(keys, node).into()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::describe::{Keys, Limits, ReadContext, Reader, Shape, Value, json_schema};

    section! {
        /// How a thing
        /// is done.
        #[check(not_both)]
        struct Thing {
            required {
                /// Its name.
                name: String, example("a");
            }
            /// How long it takes.
            time @ "for": Duration = Duration::from_secs(15), at_least(1.0);
            /// How sure it is.
            share: f64 = 0.5, between(0.0, 1.0), hint("a share");
            /// A password.
            password: Option<String> = None, secret();
            flatten {
                /// Further keys.
                more: More as More;
            }
        }
    }

    section! {
        /// More.
        struct More {
            /// How many.
            count: u32 = 3, within(1.0, 10.0);
        }
    }

    fn not_both(thing: &mut Thing, node: &crate::describe::Node<'_>) {
        if thing.password.is_some() && node.has("count") {
            node.problem("password and count exclude each other");
        }
    }

    type Read = (Option<Thing>, Vec<(String, String)>);

    fn read(json: &serde_json::Value) -> Read {
        let root = Value::from(json);
        let reader = Reader::new(&root, ReadContext::empty());
        let thing = Thing::read(&reader.root(), &Limits::NONE);
        let faults = reader.finish().into_iter();
        (
            thing,
            faults.map(|fault| (fault.path, fault.message)).collect(),
        )
    }

    #[test]
    fn a_section_is_read_with_its_defaults() {
        let (thing, faults) = read(&json!({"name": "x", "for": "2m", "count": null}));
        assert_eq!(faults, []);
        let thing = thing.unwrap();
        assert_eq!((thing.name.as_str(), thing.time.as_secs()), ("x", 120));
        assert_eq!((thing.share, thing.more), (0.5, More { count: 3 }));
    }

    #[test]
    fn every_fault_of_a_section_is_reported_at_once() {
        let (thing, faults) =
            read(&json!({"for": "10ms", "share": 1, "count": 11, "nam": 1, "password": "p"}));
        assert!(thing.is_none());
        let wanted = [
            ("", "name is missing"),
            ("for", "must be at least 1s, got 10ms"),
            ("share", "must be between 0 and 1, a share, got 1"),
            ("count", "must be from 1 to 10, got 11"),
            ("nam", "unknown key; did you mean name?"),
        ];
        let told: Vec<(&str, &str)> = faults
            .iter()
            .map(|(path, message)| (path.as_str(), message.as_str()))
            .collect();
        assert_eq!(told, wanted);
        let (_, faults) = read(&json!({"name": "x", "count": 2, "password": "p"}));
        assert_eq!(faults[0].1, "password and count exclude each other");
        let (_, faults) = read(&json!({"name": "x", "count": 1.5}));
        assert_eq!(faults[0].1, "must be a whole number from 1 to 10, got 1.5");
    }

    #[test]
    fn a_section_describes_itself() {
        let section = Thing::description();
        assert_eq!(section.doc, "How a thing is done.");
        let names: Vec<&str> = section.all_keys().iter().map(|key| key.name).collect();
        assert_eq!(names, ["name", "for", "share", "password", "count"]);
        let default = |name: &str| {
            let keys = section.all_keys();
            let key = keys.into_iter().find(|key| key.name == name)?;
            key.default.clone()
        };
        assert_eq!(default("for").as_deref(), Some("15s"));
        assert_eq!(default("password"), None);
        let schema = json_schema("thing", &Thing::kind());
        let thing = &schema["$defs"]["Thing"];
        assert_eq!(thing["required"], json!(["name"]));
        assert_eq!(thing["properties"]["count"]["maximum"], 10);
        assert_eq!(thing["properties"]["share"]["exclusiveMaximum"], 1);
    }
}
