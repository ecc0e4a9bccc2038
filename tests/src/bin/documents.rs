//! Writes the documents that are made from the programs: `docs/SETTINGS.md` and `docs/ERRORS.md`.

use std::fs;

use anyhow::Result;

fn main() -> Result<()> {
    for document in tests::documents::all() {
        fs::write(document.path(), document.text)?;
    }
    Ok(())
}
