/*
 * UTF-8 and Latin-1, by the rules of the web's TextEncoder and TextDecoder: the engine's own are
 * others for broken text.
 */
#include <stdlib.h>
#include <string.h>
#include "host.h"

static const char REPLACEMENT[3] = {(char)0xef, (char)0xbf, (char)0xbd}; /* U+FFFD */

/*
 * The length of the character at `bytes`: negative if it is broken, then of the part to replace by
 * one U+FFFD. Source: Unicode, table 3-7 and "maximal subpart";
 * https://encoding.spec.whatwg.org/#utf-8-decoder
 */
static int character_length(const uint8_t *bytes, size_t left)
{
	uint8_t first = bytes[0], low = 0x80, high = 0xbf;
	int length;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return -1;
	length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	for (int i = 1; i < length; i++, low = 0x80, high = 0xbf)
		if ((size_t)i >= left || bytes[i] < low || bytes[i] > high)
			return -i;
	return length;
}

/* The length of the text's beginning that is not broken. */
static size_t valid_length(const uint8_t *bytes, size_t length)
{
	size_t at = 0;

	while (at < length) {
		int step = character_length(bytes + at, length - at);

		if (step < 0)
			break;
		at += (size_t)step;
	}
	return at;
}

JSValue text_decode(JSContext *context, const uint8_t *bytes, size_t length)
{
	size_t valid = valid_length(bytes, length), done = valid;
	char *mended;
	JSValue text;

	if (valid == length)
		return JS_NewStringLen(context, (const char *)bytes, length);
	mended = js_malloc(context, valid + 3 * (length - valid));
	if (!mended)
		return JS_EXCEPTION;
	memcpy(mended, bytes, valid);
	for (size_t at = valid; at < length;) {
		int step = character_length(bytes + at, length - at);

		if (step < 0) {
			memcpy(mended + done, REPLACEMENT, 3);
			done += 3;
			at += (size_t)-step;
		} else {
			memcpy(mended + done, bytes + at, (size_t)step);
			done += (size_t)step;
			at += (size_t)step;
		}
	}
	text = JS_NewStringLen(context, mended, done);
	js_free(context, mended);
	return text;
}

JSValue text_decode_latin1(JSContext *context, const uint8_t *bytes, size_t length)
{
	char *encoded = js_malloc(context, 2 * length + 1);
	size_t done = 0;
	JSValue text;

	if (!encoded)
		return JS_EXCEPTION;
	for (size_t at = 0; at < length; at++)
		if (bytes[at] < 0x80) {
			encoded[done++] = (char)bytes[at];
		} else {
			encoded[done++] = (char)(0xc0 | bytes[at] >> 6);
			encoded[done++] = (char)(0x80 | (bytes[at] & 0x3f));
		}
	text = JS_NewStringLen(context, encoded, done);
	js_free(context, encoded);
	return text;
}

/*
 * Replaces lone surrogates, which the engine writes as ED A0..BF xx, by U+FFFD, which is as long.
 */
size_t text_mend(char *bytes, size_t length)
{
	const char *end = bytes + length;

	for (char *at = bytes; (at = memchr(at, 0xed, (size_t)(end - at))) != NULL; at++)
		if (end - at >= 3 && (uint8_t)at[1] >= 0xa0)
			memcpy(at, REPLACEMENT, 3);
	return length;
}
