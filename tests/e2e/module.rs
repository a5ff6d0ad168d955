//! The module itself: its size, and what it asks of its host. Envoy refuses a module with an import it does not know, so
//! a new one must be seen in review before an operator sees it.

use wasmparser::{Parser, Payload};

pub const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/boundgate.wasm");
const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/fixtures/imports.txt");

#[test]
fn the_module_imports_what_the_list_says() {
    let bytes = std::fs::read(MODULE).expect("`make build` makes it");
    let mut imports = Vec::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        if let Payload::ImportSection(section) = payload.expect("a wasm module") {
            for import in section.into_imports() {
                let import = import.expect("a wasm module");
                imports.push(format!("{} {}\n", import.module, import.name));
            }
        }
    }
    imports.sort();
    let imports: String = imports.concat();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(EXPECTED, &imports).unwrap();
    }
    let expected = std::fs::read_to_string(EXPECTED).unwrap_or_default();
    assert!(imports == expected, "the imports changed: look at each, then BLESS=1 writes the list\n{imports}");
}

#[test]
fn the_module_is_small() {
    let size = std::fs::metadata(MODULE).expect("`make build` makes it").len();
    assert!(size <= 2_100_000, "{size} bytes");
}
