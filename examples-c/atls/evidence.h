/* evidence.h - stored evidence: the options about it, and the question for the library made from them. */
#ifndef ATLS_TOOL_EVIDENCE_H
#define ATLS_TOOL_EVIDENCE_H

#include <atls.h>

#include "options.h"

#define EVIDENCE_FORMATS                                                                                                                  \
    "json|quote|ra-tls|tdx-quote|snp-report|nitro-document|nitro-tpm-document|dstack-attestation|coco-az|coco-tdx"

#define OPTIONS_EVIDENCE(RARE)                                                                                                            \
    {0, "format", EVIDENCE_FORMATS, OPTION_CHOICE, OPTION_RARE, "Evidence", "What the evidence is; json by default",                       \
     "json is {\"tee\":..,\"evidence\":{..}} or the answer of a dstack guest agent; quote is a binary quote of TDX or SGX; ra-tls a "      \
     "certificate that carries evidence; the others are documents of other stacks. Nothing is guessed."},                                 \
    {0, "event-log", "FILE", OPTION_FILE, (RARE), "Evidence", "Event log of a quote (JSON)", "Only with --format quote."},                 \
    {0, "collateral", "FILE", OPTION_FILE, 0, "Evidence", "The vendor's documents",                                                        \
     "A bundle, as atls-collateral(1) writes it, or one set in the form of dcap-qvl. Evidence of AWS needs none."},                        \
    {0, "at", "TIME", OPTION_TEXT, 0, "Evidence", "Judge at this time; now by default",                                                    \
     "Seconds since 1970, or as 2026-11-26 or 2026-11-26T12:00:00Z, in UTC."}

/* Judges the evidence in the file `path` under `policy`, whatever session it came from. Returns 0 and a verdict, which need not be
 * favourable, or an exit code after a message. */
int evidence_judge(const struct arguments *args, const char *path, const atls_policy *policy, atls_verdict **verdict);

#endif
