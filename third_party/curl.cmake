# SPDX-License-Identifier: Apache-2.0
# Initial cache for curl (cmake -C): an HTTP client on AWS-LC and nothing else.
set(BUILD_SHARED_LIBS OFF CACHE BOOL "")
set(BUILD_STATIC_LIBS ON CACHE BOOL "")
set(BUILD_CURL_EXE OFF CACHE BOOL "")
set(BUILD_TESTING OFF CACHE BOOL "")
set(BUILD_EXAMPLES OFF CACHE BOOL "")
set(BUILD_LIBCURL_DOCS OFF CACHE BOOL "")
set(BUILD_MISC_DOCS OFF CACHE BOOL "")
set(ENABLE_CURL_MANUAL OFF CACHE BOOL "")
set(CURL_DISABLE_INSTALL ON CACHE BOOL "")
# With Perl curl would enter its docs/ folder, which the crate leaves out.
set(CMAKE_DISABLE_FIND_PACKAGE_Perl ON CACHE BOOL "")

set(HTTP_ONLY ON CACHE BOOL "")
set(CURL_USE_OPENSSL ON CACHE BOOL "") # whose interface AWS-LC has
set(ENABLE_IPV6 ON CACHE BOOL "")
set(ENABLE_UNIX_SOCKETS OFF CACHE BOOL "")

# Names by c-ares, in the poll of the connections: getaddrinfo() would wait unbounded and load modules into the program,
# and a resolver thread would run outside of the guard of our own one.
set(ENABLE_THREADED_RESOLVER OFF CACHE BOOL "")
set(ENABLE_ARES ON CACHE BOOL "")

# The program's environment and dot files are not our settings.
set(CURL_DISABLE_PROXY ON CACHE BOOL "")
set(CURL_DISABLE_NETRC ON CACHE BOOL "")
set(CURL_CA_BUNDLE none CACHE STRING "")
set(CURL_CA_PATH none CACHE STRING "")
set(CURL_DISABLE_OPENSSL_AUTO_LOAD_CONFIG ON CACHE BOOL "")

# The API server is asked with a bearer token or a client certificate.
set(CURL_DISABLE_BASIC_AUTH ON CACHE BOOL "")
set(CURL_DISABLE_DIGEST_AUTH ON CACHE BOOL "")
set(CURL_DISABLE_KERBEROS_AUTH ON CACHE BOOL "")
set(CURL_DISABLE_NEGOTIATE_AUTH ON CACHE BOOL "")
set(CURL_DISABLE_AWS ON CACHE BOOL "")
set(CURL_DISABLE_HTTPSIG ON CACHE BOOL "")
set(CURL_DISABLE_SHA512_256 ON CACHE BOOL "")

set(CURL_DISABLE_ALTSVC ON CACHE BOOL "")
set(CURL_DISABLE_HSTS ON CACHE BOOL "")
set(CURL_DISABLE_DOH ON CACHE BOOL "")
set(CURL_DISABLE_COOKIES ON CACHE BOOL "")
set(CURL_DISABLE_MIME ON CACHE BOOL "")
set(CURL_DISABLE_FORM_API ON CACHE BOOL "")
set(CURL_DISABLE_GETOPTIONS ON CACHE BOOL "")
set(CURL_DISABLE_PROGRESS_METER ON CACHE BOOL "")
set(CURL_DISABLE_SRP ON CACHE BOOL "")
set(CURL_DISABLE_SHUFFLE_DNS ON CACHE BOOL "")
set(CURL_DISABLE_BINDLOCAL ON CACHE BOOL "")

set(CURL_ZLIB OFF CACHE BOOL "")
set(CURL_BROTLI OFF CACHE BOOL "")
set(CURL_ZSTD OFF CACHE BOOL "")
set(CURL_USE_LIBPSL OFF CACHE BOOL "")
set(CURL_USE_LIBSSH2 OFF CACHE BOOL "")
set(USE_NGHTTP2 OFF CACHE BOOL "")
set(USE_LIBIDN2 OFF CACHE BOOL "")
set(CURL_USE_PKGCONFIG OFF CACHE BOOL "")

# Answers to curl's probes. Signal handlers belong to the program: without these functions curl
# neither ignores SIGPIPE around its calls (it sends with MSG_NOSIGNAL) nor arms alarm().
set(HAVE_SIGACTION 0 CACHE INTERNAL "")
set(HAVE_SIGNAL 0 CACHE INTERNAL "")
set(HAVE_SIGSETJMP 0 CACHE INTERNAL "")
set(HAVE_ALARM 0 CACHE INTERNAL "")

# Functions of new C libraries that curl can do without: off_t has 64 bits without fcntl64() and its kin.
set(HAVE_FILE_OFFSET_BITS 0 CACHE INTERNAL "")
set(HAVE_MEMSET_EXPLICIT 0 CACHE INTERNAL "")
