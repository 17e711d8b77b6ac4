/* A configuration file as a tree of typed nodes that know their file and line. The only includer of libconfig is
 * cfgfile.c; options (conf_load.c) and the catalogue (policy_build.c) are read through this. Read-only, one thread. */
#ifndef SALLYPORT_CFGFILE_H
#define SALLYPORT_CFGFILE_H

#include "sallyport/status.h"

#include <stddef.h>
#include <stdint.h>

struct sp_cfgfile;
struct sp_cfgnode; /* borrowed from the file */

enum sp_cfgtype { SP_CFG_GROUP, SP_CFG_LIST /* lists and arrays */, SP_CFG_STRING, SP_CFG_INT, SP_CFG_FLOAT, SP_CFG_BOOL };

/* SP_ERR_IO or SP_ERR_CONF with "FILE:LINE: text". Directories and files over 16 MiB are refused. */
enum sp_status sp_cfgfile_open(const char *path, struct sp_error *err, struct sp_cfgfile **file_out) SP_MUST_CHECK;
void sp_cfgfile_close(struct sp_cfgfile **file);

const struct sp_cfgnode *sp_cfgfile_root(const struct sp_cfgfile *file);

enum sp_cfgtype sp_cfgnode_type(const struct sp_cfgnode *node);
const char *sp_cfgnode_type_name(const struct sp_cfgnode *node); /* "a group", "a string", ... for messages */
const char *sp_cfgnode_name(const struct sp_cfgnode *node);      /* NULL for the root and list elements */
const char *sp_cfgnode_file(const struct sp_cfgnode *node);
int sp_cfgnode_line(const struct sp_cfgnode *node);

size_t sp_cfgnode_count(const struct sp_cfgnode *node); /* children; 0 for scalars */
const struct sp_cfgnode *sp_cfgnode_child(const struct sp_cfgnode *node, size_t i);
const struct sp_cfgnode *sp_cfgnode_get(const struct sp_cfgnode *node, const char *name); /* of a group; NULL if absent */

/* Only for nodes of that type. */
const char *sp_cfgnode_string(const struct sp_cfgnode *node);
int64_t sp_cfgnode_int(const struct sp_cfgnode *node);
bool sp_cfgnode_bool(const struct sp_cfgnode *node);

#endif
