//! The `cmbatch` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmbatch::cli::main()
}
