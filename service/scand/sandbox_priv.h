/* The parts of the sandbox, for sandbox.c alone. */
#ifndef SALLYPORT_SCAND_SANDBOX_PRIV_H
#define SALLYPORT_SCAND_SANDBOX_PRIV_H

#include "sallyport/status.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Sanitizers read files of their own, map what they like and need much more memory: in such a build, and in no other, all files
 * can be read, memory has no limit, and of the calls only the dangerous ones are refused. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SP_SANDBOX_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SP_SANDBOX_SANITIZED true
#endif
#endif
#ifndef SP_SANDBOX_SANITIZED
#define SP_SANDBOX_SANITIZED false
#endif

#define SP_SANDBOX_CALL_NAME_SIZE 40

/* no_new_privs must be set before. SP_ERR_NOT_FOUND if the kernel has none. */
enum sp_status sp_landlock_enter(const char *scratch, struct sp_error *err, unsigned *abi_out) SP_MUST_CHECK;
enum sp_status sp_seccomp_enter(atomic_int *forbidden_out, struct sp_error *err) SP_MUST_CHECK;
void sp_seccomp_call_name(int number, char out[SP_SANDBOX_CALL_NAME_SIZE]);

#endif
