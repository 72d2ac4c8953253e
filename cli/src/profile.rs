//! Named connection settings in the user's file: `$XDG_CONFIG_HOME/caudal/config.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;

/// One `[profile.NAME]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// `HOST:PORT`, several separated by commas.
    pub(crate) brokers: Option<String>,
    /// How long one request may take, as `10s`.
    pub(crate) timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

/// Where the user's file lies: under `XDG_CONFIG_HOME`, else under `~/.config`.
fn path() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    match folder {
        Some(folder) => Ok(folder.join("caudal").join("config.toml")),
        None => {
            Err(Failure::refused("--profile needs a config file: neither XDG_CONFIG_HOME nor HOME is set"))
        }
    }
}

/// The profile of this name in the user's file.
pub(crate) fn load(name: &str) -> Result<Profile, Failure> {
    let path = path()?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::refused(format!("{} is not readable: {error}", path.display())).caused_by(error)
    })?;
    find(name, &text, &path)
}

fn find(name: &str, text: &str, path: &Path) -> Result<Profile, Failure> {
    let mut file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Failure::refused(format!("{}, line {line}: {}", path.display(), error.message()))
    })?;
    file.profile.remove(name).ok_or_else(|| {
        let names: Vec<&str> = file.profile.keys().map(String::as_str).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Failure::refused(format!("{} has no [profile.{name}]; there is {there}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[profile.home]\nbrokers = \"a:1,b:2\"\ntimeout = \"3s\"\n[profile.work]\n";

    #[test]
    fn a_profile_is_found_by_name() {
        let profile = find("home", FILE, Path::new("f")).unwrap();
        assert_eq!(profile, Profile { brokers: Some("a:1,b:2".into()), timeout: Some("3s".into()) });
        assert_eq!(find("work", FILE, Path::new("f")).unwrap(), Profile::default());
        let missing = find("other", FILE, Path::new("f")).unwrap_err().to_string();
        assert!(missing.contains("home, work"), "{missing}");
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = find("home", "[profile.home]\nbroker = \"a\"\n", Path::new("f")).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("`broker`") && error.contains("`brokers`"),
            "{error}"
        );
        assert!(find("home", "[profiles.home]\n", Path::new("f")).is_err());
    }
}
