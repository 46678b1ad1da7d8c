//! Bugs planted on purpose, to show that the hunt for stale hits (`scripts/hunt`) finds them: a build with the feature
//! `planted-bugs`, and no other, leaves out the rule that `TRACERUN_PLANTED` names.

/// A rule of the fingerprint without which there are stale hits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// What was enumerated counts.
    Listing,
    /// What was looked for and not there counts.
    Missing,
    /// What was read before it was changed counts.
    Order,
    /// The links on the way to a path count.
    Symlink,
    /// The environment counts.
    Environment,
}

/// Whether this rule is to be left out.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is_off(rule: Rule) -> bool {
    let name = match rule {
        Rule::Listing => "listing",
        Rule::Missing => "missing",
        Rule::Order => "order",
        Rule::Symlink => "symlink",
        Rule::Environment => "environment",
    };
    std::env::var_os("TRACERUN_PLANTED").is_some_and(|planted| planted == name)
}

/// Whether this rule is to be left out: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_off(_: Rule) -> bool {
    false
}
