/* libc loads a program file for each character set when it is first used, and reads the time zone. A worker can open neither, so
 * both are there before it is forked. The sets are those that libclamav knows by number (in Office documents) and those that
 * web pages use; with another one in an XML document the parser goes on without conversion. */
#include "config.h"

#include "sandbox.h"

#include <iconv.h>
#include <stdlib.h>
#include <time.h>

static const char *const charsets[] = {
    "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE", "UTF-7", "UNICODE", "UCS-2", "UCS-2LE", "UCS-2BE", "UCS-4",
    "UCS-4LE", "UCS-4BE", "US-ASCII", "ISO-8859-1", "ISO-8859-2", "ISO-8859-3", "ISO-8859-4", "ISO-8859-5", "ISO-8859-6",
    "ISO-8859-7", "ISO-8859-8", "ISO-8859-9", "ISO-8859-10", "ISO-8859-13", "ISO-8859-14", "ISO-8859-15", "ISO-8859-16", "KOI8-R",
    "KOI8-U", "MACINTOSH", "MAC-CYRILLIC", "WINDOWS-874", "WINDOWS-1250", "WINDOWS-1251", "WINDOWS-1252", "WINDOWS-1253",
    "WINDOWS-1254", "WINDOWS-1255", "WINDOWS-1256", "WINDOWS-1257", "WINDOWS-1258", "GBK", "GB18030", "GB2312", "HZ", "BIG5",
    "BIG5-HKSCS", "EUC-JP", "EUC-CN", "ISO-2022-JP", "ISO-2022-JP-2", "ISO-2022-JP-3", "ISO-2022-KR", "ISO-2022-CN", "SHIFT_JIS",
    "CP932", "EUC-KR", "CP949", "JOHAB", "ASMO-708", "IBM037", "IBM273", "IBM277", "IBM278", "IBM280", "IBM284", "IBM285", "IBM290",
    "IBM297", "IBM420", "IBM423", "IBM424", "IBM437", "IBM500", "IBM775", "IBM850", "IBM852", "IBM855", "IBM857", "IBM860",
    "IBM861", "IBM863", "IBM864", "IBM865", "IBM866", "IBM869", "IBM870", "IBM871", "IBM880", "IBM905", "IBM1026", "CP866", "CP875",
    "CP1025"
};

void sp_sandbox_warm_up(void)
{
    static iconv_t left_open[sizeof(charsets) / sizeof(charsets[0])]; /* closing one would unload its file again */
    for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++)
        left_open[i] = iconv_open("UTF-8", charsets[i]);
    (void) left_open;
    tzset();
    setenv("RAYON_NUM_THREADS", "1", 0); /* some of libclamav's image decoders: the cores are the workers' */
}
