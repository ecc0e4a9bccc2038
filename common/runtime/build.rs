//! The names of all crates of the workspace and of what it depends on, from `Cargo.lock`: a log filter may name these.

use std::{env, fs, path::Path};

const LOCK: &str = "../../Cargo.lock";

fn main() {
    println!("cargo:rerun-if-changed={LOCK}");
    let lock = fs::read_to_string(LOCK).expect("Cargo.lock lies in the workspace's folder");
    let names = lock.lines().filter_map(|line| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        Some(name.replace('-', "_") + "\n")
    });
    let folder = env::var_os("OUT_DIR").expect("cargo sets it");
    let file = Path::new(&folder).join("crates.txt");
    fs::write(file, names.collect::<String>()).expect("the folder can be written");
}
