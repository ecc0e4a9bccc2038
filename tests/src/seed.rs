//! Seeds of random numbers.

use std::env;

/// The seed in this environment variable, or a new one; it is printed, so that a failure can be repeated.
///
/// # Panics
/// If the variable does not hold a number.
#[must_use]
pub fn seed(variable: &str) -> u64 {
    let seed = env::var(variable).map_or_else(
        |_| rand::random(),
        |text| {
            let number = text.parse();
            number.unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
        },
    );
    eprintln!("tests: to repeat this test with the same input, set {variable}={seed}");
    seed
}
