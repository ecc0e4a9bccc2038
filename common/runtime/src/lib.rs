//! What every program needs to run: settings, logs, an orderly stop, files that it follows, and readiness.

pub mod faults;
pub mod files;
pub mod hold;
pub mod lifecycle;
pub mod output;
pub mod readiness;
pub mod settings;
pub mod telemetry;
