//! The packages of a `Cargo.lock`.

/// One package: every platform's and every feature's are in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// The crate.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Where it comes from; nothing for a package of the workspace.
    pub(crate) source: Option<String>,
    /// The names of the crates it depends on.
    pub(crate) dependencies: Vec<String>,
}

/// Reads what cargo writes; it is TOML, one key a line.
pub(crate) fn packages(lock: &str) -> Vec<Package> {
    lock.split("[[package]]").skip(1).map(package).collect()
}

fn package(text: &str) -> Package {
    let mut package = Package::default();
    for line in text.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_suffix('"').map(str::to_owned);
        if let Some(name) = value("name = \"") {
            package.name = name;
        } else if let Some(version) = value("version = \"") {
            package.version = version;
        } else if let Some(source) = value("source = \"") {
            package.source = Some(source);
        } else if let Some(dependency) = line.strip_prefix(" \"") {
            // `name`, or `name version` where there are several.
            let end = dependency.find([' ', '"']).unwrap_or(dependency.len());
            package.dependencies.push(dependency[..end].to_owned());
        }
    }
    package
}

#[test]
fn a_lock_file() {
    let text = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nsource = \"x\"\ndependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
    let found = packages(text);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("a", "1.2.3"));
    assert_eq!(found[0].dependencies, ["b", "c"]);
    assert_eq!(found[1].source, None);
}
