//! Names that clients choose, checked once.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes of a topic's or a group's name.
pub const NAME_BYTES_MAX: usize = 249;

/// What the names of the broker's own topics begin with.
pub const RESERVED_PREFIX: &str = "__";

/// Why a text cannot be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`NAME_BYTES_MAX`].
    #[error("a name has at most 249 bytes, this one has {bytes}")]
    TooLong {
        /// The bytes it has.
        bytes: usize,
    },
    /// A character that a topic's name does not have.
    #[error(
        "a topic's name has letters A-Z and a-z, digits, '.', '_' and '-' only; {found:?} is at byte {at}"
    )]
    Character {
        /// The first of them.
        found: char,
        /// Where, in bytes from 0.
        at: usize,
    },
    /// `.` or `..`.
    #[error("\".\" and \"..\" are no names")]
    Dots,
    /// Begins with [`RESERVED_PREFIX`].
    #[error("names that begin with \"__\" are the broker's own")]
    Reserved,
    /// A control character in a group's name.
    #[error("a group's name has no control characters; {found:?} is at byte {at}")]
    Control {
        /// The first of them.
        found: char,
        /// Where, in bytes from 0.
        at: usize,
    },
}

fn check_length(name: &str) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty),
        bytes if bytes > NAME_BYTES_MAX => Err(NameError::TooLong { bytes }),
        _ => Ok(()),
    }
}

fn check_topic(name: &str) -> Result<(), NameError> {
    check_length(name)?;
    let strange = |c: &(usize, char)| !(c.1.is_ascii_alphanumeric() || matches!(c.1, '.' | '_' | '-'));
    if let Some((at, found)) = name.char_indices().find(strange) {
        return Err(NameError::Character { found, at });
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots);
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

fn check_group(name: &str) -> Result<(), NameError> {
    check_length(name)?;
    match name.char_indices().find(|c| c.1.is_control()) {
        Some((at, found)) => Err(NameError::Control { found, at }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a name.
            ///
            /// # Errors
            /// The first rule that it breaks.
            pub fn new(name: &str) -> Result<$name, NameError> {
                $check(name)?;
                Ok($name(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<$name, NameError> {
                $name::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// A topic's name: 1 to 249 of `A-Z a-z 0-9 . _ -`, not `.` or `..`, and not beginning with `__`, which is for the
    /// broker's own topics. Cheap to clone.
    TopicName,
    check_topic
);
name!(
    /// A consumer group's name: 1 to 249 bytes of UTF-8 without control characters. Cheap to clone.
    GroupName,
    check_group
);

#[cfg(test)]
mod tests;
