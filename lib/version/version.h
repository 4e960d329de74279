// Which source this program was built from. Only executables link it: it is compiled again after each commit,
// and nothing else is.
#ifndef GTV_VERSION_VERSION_H
#define GTV_VERSION_VERSION_H

// "0.1.0+g1a2b3c4d5e6f", with "-dirty" where files differed from that commit; "0.1.0" where nobody knew.
const char *gtv_version(void);
// "1a2b3c4d5e6f", or "" where nobody knew.
const char *gtv_commit(void);

// Answers --version on stdout and ends the program; does nothing when it is not asked for.
void gtv_version_answer(const char *program, int argc, char **argv);

#endif
