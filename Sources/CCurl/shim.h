#include <curl/curl.h>

// Functions with a variable number of arguments can't be called from Swift: one for each kind of value that is set.

static inline CURLcode kith_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode kith_curl_set_number(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode kith_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode kith_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}

typedef size_t (*kith_curl_transfer)(char *buffer, size_t size, size_t count, void *context);

static inline CURLcode kith_curl_set_transfer(CURL *handle, CURLoption option, kith_curl_transfer value) {
    return curl_easy_setopt(handle, option, value);
}

static inline long kith_curl_response_code(CURL *handle) {
    long code = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &code);
    return code;
}
