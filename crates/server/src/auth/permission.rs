//! The permissions this server checks, under the names the original gives them in a token, and which of them lets do
//! what another does.

use std::fmt;

/// Names, as tokens carry them, and what people read. One line a permission.
macro_rules! permissions {
    ($($variant:ident = $name:literal, $display:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $(#[doc = $display] $variant,)+
        }

        impl Permission {
            pub const ALL: &'static [Permission] = &[$(Permission::$variant,)+];

            /// The name as it stands in `roles` and `scp`.
            pub const fn name(self) -> &'static str {
                match self { $(Permission::$variant => $name,)+ }
            }

            /// The name people see where permissions are granted.
            pub const fn display_name(self) -> &'static str {
                match self { $(Permission::$variant => $display,)+ }
            }
        }
    };
}

permissions! {
    LibraryManage = "Library.Manage", "Manage live response library";
    LibraryRead = "Library.Read", "Read live response library";
    AuditRead = "Audit.Read", "Read the audit log";
    MachineReadAll = "Machine.Read.All", "Read all machine profiles";
    MachineReadWriteAll = "Machine.ReadWrite.All", "Read and write all machine information";
    MachineLiveResponse = "Machine.LiveResponse", "Run live response on a specific machine";
    MachineRead = "Machine.Read", "Read machine information";
    MachineReadWrite = "Machine.ReadWrite", "Read and write machine information";
    ApplicationReadWriteAll = "Application.ReadWrite.All", "Read and write all applications";
}

impl Permission {
    /// Whether the original has it too.
    pub fn is_original(self) -> bool {
        !matches!(self, Permission::LibraryRead | Permission::AuditRead | Permission::ApplicationReadWriteAll)
    }

    /// Whether apps have it, or else users: some are called differently for each.
    pub fn is_for(self, app: bool) -> bool {
        match self {
            Permission::MachineReadAll | Permission::MachineReadWriteAll => app,
            Permission::MachineRead | Permission::MachineReadWrite => !app,
            _ => true,
        }
    }

    /// Whether who has it may do all that `other` lets do. What users have and what apps have are the same here: a
    /// token may do what it says, whosever it is.
    pub fn covers(self, other: Permission) -> bool {
        use Permission::{
            LibraryManage, LibraryRead, MachineRead, MachineReadAll, MachineReadWrite, MachineReadWriteAll,
        };
        self == other
            || matches!(
                (self, other),
                (LibraryManage, LibraryRead)
                    | (MachineRead | MachineReadAll, MachineRead | MachineReadAll)
                    | (
                        MachineReadWrite | MachineReadWriteAll,
                        MachineRead | MachineReadAll | MachineReadWrite | MachineReadWriteAll
                    )
            )
    }

    /// Exact: `library.manage` or `Library.Manage ` is no permission.
    pub fn parse(name: &str) -> Option<Permission> {
        Permission::ALL.iter().copied().find(|permission| permission.name() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Permission;

    #[test]
    fn every_permission_is_found_by_its_exact_name_only() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.name()), Some(*permission));
            assert!(!permission.display_name().is_empty());
        }
        for no in ["", "library.manage", " Library.Manage", "Library.Manage ", "Library.*", "Library"] {
            assert_eq!(Permission::parse(no), None, "{no:?}");
        }
    }

    #[test]
    fn a_permission_covers_itself_and_what_it_lets_do() {
        let covered = |name: &str| -> Vec<&str> {
            let permission = Permission::parse(name).unwrap();
            let others = Permission::ALL.iter().filter(|other| permission.covers(**other));
            others.map(|other| other.name()).filter(|other| *other != name).collect()
        };
        assert_eq!(covered("Library.Manage"), ["Library.Read"]);
        assert_eq!(covered("Machine.Read"), ["Machine.Read.All"]);
        assert_eq!(covered("Machine.Read.All"), ["Machine.Read"]);
        let reading = ["Machine.Read.All", "Machine.Read"];
        assert_eq!(covered("Machine.ReadWrite"), [reading[0], "Machine.ReadWrite.All", reading[1]]);
        assert_eq!(covered("Machine.ReadWrite.All"), [reading[0], reading[1], "Machine.ReadWrite"]);
        for alone in ["Library.Read", "Audit.Read", "Machine.LiveResponse", "Application.ReadWrite.All"] {
            assert_eq!(covered(alone), Vec::<&str>::new(), "{alone}");
        }
        assert!(Permission::ALL.iter().all(|permission| permission.covers(*permission)));
    }
}
