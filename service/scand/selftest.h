/* The EICAR test file, which every engine must find, without a copy of it in this program: a virus scanner that looked at our
 * package would find it too. Also the test that an engine has to pass. */
#ifndef SALLYPORT_SCAND_SELFTEST_H
#define SALLYPORT_SCAND_SELFTEST_H

#include "engine.h"

#define SP_EICAR_BYTES 68

/* The file in hexadecimal, as a ClamAV signature wants it. */
extern const char sp_eicar_hex[2 * SP_EICAR_BYTES + 1];

/* EICAR must be found in memory and by descriptor, and nothing in a handful of harmless files. SP_ERR_CONF with a text otherwise. */
enum sp_status sp_selftest(const struct sp_engine *engine, struct sp_error *err) SP_MUST_CHECK;

/* Whether the engine finds EICAR in an archive of RAR, for which libclamav needs a library that may be missing. */
bool sp_selftest_rar(const struct sp_engine *engine);

#endif
