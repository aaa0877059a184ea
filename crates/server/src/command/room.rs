//! Room for connections: as many open files as the system allows, and no more connections than leave some for blobs and
//! the database. Agents take none of what clients need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Takes as many open files as this process may have, and lowers what the settings want to what they suffice for.
pub fn make(settings: &mut Settings) {
    let Some(files) = raise() else { return };
    let wanted = (settings.max_connections, settings.max_agents);
    let (connections, agents) = shared(wanted, files);
    if (connections, agents) != wanted {
        tracing::info!(
            files,
            max_connections = wanted.0,
            connections,
            max_agents = wanted.1,
            agents,
            "the process may not open enough files for all connections: raise its limit (ulimit -n, LimitNOFILE)"
        );
    }
    (settings.max_connections, settings.max_agents) = (connections, agents);
}

/// Lifts the soft limit of open files to the hard one. `None` where there is none.
fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised =
        current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let files = if raised { maximum } else { current };
    files.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Connections of clients and of agents, of those wanted, for which so many files suffice: a quarter of them is kept free,
/// and where it gets narrow a third of the rest is for clients.
fn shared((connections, agents): (usize, usize), files: usize) -> (usize, usize) {
    let room = files / 4 * 3;
    let connections = connections.min(room.saturating_sub(agents).max(room / 3)).max(1);
    (connections, agents.min(room.saturating_sub(connections)))
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn some_files_can_always_be_opened_and_agents_leave_room_for_clients() {
        assert_eq!(shared((4096, 20_000), 65_536), (4096, 20_000));
        assert_eq!(shared((4096, 20_000), 20_000), (4096, 10_904));
        assert_eq!(shared((4096, 20_000), 1024), (256, 512));
        assert_eq!(shared((4096, 0), 1024), (768, 0));
        assert_eq!(shared((4, 20_000), 1024), (4, 764));
        assert_eq!(shared((1, 1), 1), (1, 0), "somebody can always be served");
    }
}
