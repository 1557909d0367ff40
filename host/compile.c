/*
 * Compiles a JavaScript module to bytecode: compile SOURCE OUT. Bytecode and library are of one
 * version, so both are built together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quickjs/quickjs.h>

static char *read_all(const char *path, size_t *length)
{
	FILE *file = fopen(path, "rb");
	char *text = NULL;
	long size;

	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0)
		return NULL;
	rewind(file);
	text = malloc((size_t)size + 1);
	if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
		return NULL;
	fclose(file);
	text[size] = '\0'; /* the parser needs it */
	*length = (size_t)size;
	return text;
}

static int report(JSContext *context)
{
	JSValue error = JS_GetException(context);
	JSValue stack = JS_GetPropertyStr(context, error, "stack");
	const char *text = JS_ToCString(context, error), *where = JS_ToCString(context, stack);

	fprintf(stderr, "%s\n%s", text ? text : "?", where ? where : "");
	return 1;
}

int main(int argc, char **argv)
{
	JSRuntime *runtime = JS_NewRuntime();
	JSContext *context = JS_NewContext(runtime);
	size_t length, size;
	char *source = argc == 3 ? read_all(argv[1], &length) : NULL;
	JSValue module;
	uint8_t *bytecode;
	FILE *out;

	if (!source) {
		fprintf(stderr, "usage: compile SOURCE OUT\n");
		return 2;
	}
	JS_SetStripInfo(runtime, JS_STRIP_SOURCE); /* stacks keep functions, lines and columns */
	JS_SetMaxStackSize(runtime, 0);
	module = JS_Eval(context, source, length, "lighter.js",
			 JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
	if (JS_IsException(module))
		return report(context);
	bytecode = JS_WriteObject(context, &size, module, JS_WRITE_OBJ_BYTECODE);
	out = bytecode ? fopen(argv[2], "wb") : NULL;
	if (out && fwrite(bytecode, 1, size, out) == size && fclose(out) == 0)
		return 0;
	return report(context);
}
