//! `jumpbag-agent`.

fn main() -> std::process::ExitCode {
    jumpbag_agent::command::main()
}
