/* For cfgfile.c only: configuration text checked and put into a form that libconfig 1.5 reads without its surprises. */
#ifndef SALLYPORT_CFGTEXT_PRIV_H
#define SALLYPORT_CFGTEXT_PRIV_H

#include "sallyport/buf.h"

#define SP_CFGTEXT_MAX_DEPTH 32 /* groups, lists and arrays inside each other */

/* Copies text into out without its comments, every token on its line. SP_ERR_CONF with *line_out set and a text
 * without file and line; SP_ERR_NOMEM. */
enum sp_status sp_cfgtext_normalise(struct sp_str text, struct sp_buf *out, int *line_out, struct sp_error *err) SP_MUST_CHECK;

#endif
