/* The times at which ops begin and end, for those who ask where a start spends its time. */
#ifndef LIGHTER_TRACE_H
#define LIGHTER_TRACE_H
#include "play.h"

enum trace_point { OP_BEGINS, OP_ENDS };

/* Makes the file that the program wants a trace in, if it wants one. Returns 0 or -errno. */
int trace_begin(const struct program *p);

/* Notes the time, in the launcher as in the child. Does nothing without a trace. */
void trace_op(uint32_t op_index, enum trace_point point);

#endif
