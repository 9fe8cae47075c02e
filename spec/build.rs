//! Makes cargo notice added and removed data files, which the embedding macro alone does not.

fn main() {
    for path in ["scenarios", "frames", "vectors", "protocol.md", "crdt.md"] {
        println!("cargo:rerun-if-changed={path}");
    }
}
