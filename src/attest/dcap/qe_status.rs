//! What the status of the quoting enclave makes of the platform's. Pure.
//!
//! The verifying crate lets only OutOfDate and Revoked of the quoting enclave count, as the vendor's own library does. QE identity may say more: an enclave
//! whose machine has to be configured, or that is out of date besides, would pass as if nothing were the matter. Here each status counts, and none gets better
//! by another.

use dcap_qvl::TcbStatus;

/// The status of both together. `merged` is the verifying crate's, which has taken account of some statuses already: to apply this to it again changes nothing.
pub fn converge(merged: TcbStatus, qe: TcbStatus) -> TcbStatus {
    use TcbStatus::*;
    match (qe, merged) {
        (UpToDate, _) => merged,
        (Revoked, _) | (_, Revoked) => Revoked,
        (ConfigurationNeeded, UpToDate) => ConfigurationNeeded,
        (ConfigurationNeeded, SWHardeningNeeded) => ConfigurationAndSWHardeningNeeded,
        (ConfigurationNeeded, OutOfDate) => OutOfDateConfigurationNeeded,
        (ConfigurationNeeded, TDRelaunchAdvised) => TDRelaunchAdvisedConfigurationNeeded,
        (ConfigurationNeeded, _) => merged,
        (OutOfDate, UpToDate | SWHardeningNeeded | TDRelaunchAdvised | OutOfDate) => OutOfDate,
        // The statuses that are left say nothing of a quoting enclave that the vendor has published: the worst that is no revocation.
        _ => OutOfDateConfigurationNeeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TcbStatus::*;

    const ALL: [TcbStatus; 9] = [
        UpToDate,
        SWHardeningNeeded,
        ConfigurationNeeded,
        ConfigurationAndSWHardeningNeeded,
        OutOfDate,
        OutOfDateConfigurationNeeded,
        TDRelaunchAdvised,
        TDRelaunchAdvisedConfigurationNeeded,
        Revoked,
    ];

    #[test]
    fn each_status_of_the_quoting_enclave_counts() {
        for (platform, qe, both) in [
            (UpToDate, UpToDate, UpToDate),
            (UpToDate, ConfigurationNeeded, ConfigurationNeeded),
            (UpToDate, OutOfDate, OutOfDate),
            (UpToDate, OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
            (SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded),
            (SWHardeningNeeded, OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
            (ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded),
            (ConfigurationAndSWHardeningNeeded, OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
            (OutOfDate, ConfigurationNeeded, OutOfDateConfigurationNeeded),
            (OutOfDate, OutOfDate, OutOfDate),
            (TDRelaunchAdvised, ConfigurationNeeded, TDRelaunchAdvisedConfigurationNeeded),
            (TDRelaunchAdvised, OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
            (UpToDate, SWHardeningNeeded, OutOfDateConfigurationNeeded),
        ] {
            assert_eq!(converge(platform, qe), both, "{platform} {qe}");
        }
    }

    #[test]
    fn nothing_gets_better_and_twice_is_once() {
        for platform in ALL {
            assert_eq!(converge(platform, UpToDate), platform);
            for qe in ALL.into_iter().filter(|qe| *qe != UpToDate) {
                let both = converge(platform, qe);
                assert_ne!(both, UpToDate, "{platform} {qe}");
                assert_eq!(converge(both, qe), both, "{platform} {qe}");
                let is_out_of_date = |status| matches!(status, OutOfDate | OutOfDateConfigurationNeeded | Revoked);
                let some_is = is_out_of_date(platform) || is_out_of_date(qe);
                assert!(!some_is || is_out_of_date(both), "{platform} {qe}: {both}");
            }
        }
    }
}
