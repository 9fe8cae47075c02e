//! Measures the reference's text engine beside its peers.
//!
//! `collab-bench peers [--rounds N] [--edits N] [--only NAME]`: every engine on the same edits.
//! `collab-bench shapes [--rounds N] [--most N]`: this engine against size and hard shapes.

mod measure;
mod peers;
mod session;
mod shapes;
mod side_by_side;
mod trace;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|it| it == flag)?;
        arguments.get(at + 1).cloned()
    };
    let number = |flag: &str, usual: usize| {
        value(flag).map_or(usual, |it| it.parse().expect("a number after the flag"))
    };
    match arguments.first().map(String::as_str) {
        Some("peers") => side_by_side::run(
            number("--rounds", 5),
            number("--edits", usize::MAX),
            value("--only").as_deref(),
        ),
        Some("shapes") => shapes::run(number("--rounds", 3), number("--most", 1_000_000) as u64),
        _ => {
            eprintln!("collab-bench peers [--rounds N] [--edits N] [--only NAME]");
            eprintln!("collab-bench shapes [--rounds N] [--most N]");
            std::process::exit(2);
        }
    }
}
