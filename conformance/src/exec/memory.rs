//! The processes of a group, and what memory they hold: `/proc`, where there is one.

use std::fs;

/// A process of a group.
pub(super) struct Member {
    /// Whether it has ended, and nobody has asked how.
    pub(super) is_zombie: bool,
    /// The memory that it holds.
    pub(super) resident_bytes: u64,
}

/// The processes of a group; nothing where the system does not tell.
pub(super) fn members(group: i32) -> Option<Vec<Member>> {
    let mut found = Vec::new();
    // A system with a `/proc` of another kind has no such file.
    fs::metadata("/proc/self/stat").ok()?;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let is_process = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        // A process may end while it is looked at.
        if is_process && let Ok(stat) = fs::read_to_string(entry.path().join("stat")) {
            found.extend(member(&stat, group));
        }
    }
    Some(found)
}

/// The memory that all processes of a group hold together.
pub(super) fn resident_bytes(group: i32) -> Option<u64> {
    let members = members(group)?;
    Some(members.iter().map(|member| member.resident_bytes).sum())
}

/// Reads the line of a process, where it is of the group. Source: proc_pid_stat(5).
fn member(stat: &str, group: i32) -> Option<Member> {
    // The name may hold anything, so the fields are counted from behind its bracket.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let of_group = fields.get(2)?.parse::<i32>().ok()? == group;
    let pages: u64 = fields.get(21)?.parse().ok()?;
    of_group.then(|| Member {
        is_zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        resident_bytes: pages * rustix::param::page_size() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_from_behind_the_name() {
        let line = "12 (a ) b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5 9000 3 18446744073709551615 1 1";
        let found = member(line, 77).unwrap();
        assert!(!found.is_zombie);
        assert_eq!(found.resident_bytes, 3 * rustix::param::page_size() as u64);
        assert!(member(line, 78).is_none());
    }
}
