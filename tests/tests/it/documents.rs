//! The documents that are made from the programs say what the programs say.

use tests::documents::{self, MAKE};

#[test]
fn the_documents_are_current() {
    for document in documents::all() {
        assert!(
            document.current() == document.text,
            "docs/{} is not current; make it anew: {MAKE}",
            document.name
        );
    }
}
