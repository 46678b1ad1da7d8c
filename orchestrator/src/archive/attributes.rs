//! What a file has beside content and permission bits: its owner and extended attributes.

use std::fs::File;
use std::io;
use std::path::Path;

use platform::files::{self, FileType, Identity};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// What a file has beside content and permission bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// User and group, where they are not those of who makes a file.
    pub owner: Option<(u32, u32)>,
    /// Extended attributes, by name.
    pub extended: Vec<(Bytes, Bytes)>,
}

impl Attributes {
    /// Those of what stands at `path`, which has this identity.
    #[must_use]
    pub fn at(path: &Path, identity: &Identity) -> Self {
        let owner = Some(identity.owner).filter(|owner| *owner != files::own_ids());
        // A symbolic link can't have any that a user sets. What can't be read is not known to be there.
        let extended = match identity.file_type {
            FileType::Symlink => Vec::new(),
            _ => files::extended_attributes(path).unwrap_or_default(),
        };
        let extended = extended.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { owner, extended }
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Gives them to a file just made, at `path`, as [`Attributes::give`] does.
    ///
    /// # Errors
    /// This user may not.
    pub(super) fn give_new(&self, file: &File, path: &Path) -> io::Result<()> {
        // A folder may have given it its group.
        let is_own = files::identity_of_open(file)?.owner == files::own_ids();
        if self.is_plain() && is_own { Ok(()) } else { self.give(path) }
    }

    /// Gives them to what stands at `path`, whose permission bits are to be set afterwards.
    ///
    /// # Errors
    /// This user may not.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        let now = Self::at(path, &files::identity(path, false)?);
        if now.owner != self.owner {
            files::set_owner(path, self.owner.unwrap_or_else(files::own_ids))?;
        }
        for (name, _) in now.extended.iter().filter(|had| !self.extended.contains(had)) {
            files::remove_extended_attribute(path, name)?;
        }
        for (name, value) in self.extended.iter().filter(|has| !now.extended.contains(has)) {
            files::set_extended_attribute(path, name, value)?;
        }
        Ok(())
    }
}
