//! The permissions this server checks, under the names the original gives them in a token.

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
}

impl Permission {
    /// Whether the original has it too.
    pub fn is_original(self) -> bool {
        !matches!(self, Permission::LibraryRead | Permission::AuditRead)
    }

    /// Whether apps have it, or else users: some are called differently for each.
    pub fn is_for(self, app: bool) -> bool {
        match self {
            Permission::MachineReadAll | Permission::MachineReadWriteAll => app,
            Permission::MachineRead | Permission::MachineReadWrite => !app,
            _ => true,
        }
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
}
