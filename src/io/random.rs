//! Unpredictable numbers. Touches the system's source of them.

use crate::error::{Detail, Error, Result, Status};

/// Errors: NoResources.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut numbers = [0; N];
    aws_lc_rs::rand::fill(&mut numbers)
        .map_err(|_| Error::new(Status::NoResources, "the system gave no random numbers").detail(Detail::NoRandom))?;
    Ok(numbers)
}
