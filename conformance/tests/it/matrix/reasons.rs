//! What the matrix can't show, each with its reason: the page says them, and tests hold them to it.

/// MUSTs without a mutant that their checks alone kill, and why there is none.
pub(crate) const NO_MUTANT: &[(&[&str], &str)] = &[];

/// Faults of which the report names another requirement first: the fault, what is named, and why that
/// is as right.
pub(crate) const NAMED_OTHERWISE: &[(&str, &str, &str)] = &[];
