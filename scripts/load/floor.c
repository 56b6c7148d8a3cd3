// The floor under createRecord: what a commit costs whoever writes it, with no HTTP, no tree and no SQL.
//
//   floor FILE SECONDS THREADS GROUP TEXT NODES NODE FRAME
//
// For each commit: its record encoded and hashed; NODES nodes of NODE bytes hashed, each holding the hash of what is
// below it; the unsigned commit encoded, hashed and signed with K-256 (low S); the signed commit encoded and hashed;
// all of it laid out as one frame of FRAME bytes. The frames of GROUP commits are appended to FILE and flushed by one
// fdatasync. TEXT is the length of a record's text. All sizes are in bytes; scripts/load/floor.py takes them from the
// frames of the server it is compared with.
//
// Each thread prepares groups of its own; the file has one writer at a time, as a log has. So with one thread the
// processor waits for the disk and the disk for the processor; with two, one group is made while another is flushed.
//
// Prints one line of JSON: commits, seconds, and the microseconds that a commit's preparation and a flush take.

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <secp256k1.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { HASH = 32, CID = 36, SIGNATURE = 64, NODE_MAX = 1 << 16, NODES_MAX = 64, THREADS_MAX = 64 };

static struct {
    int file;
    double until;
    int group, text, nodes, node, frame;
} run;

// Held while a group is appended and flushed.
static pthread_mutex_t log_turn = PTHREAD_MUTEX_INITIALIZER;

struct worker {
    pthread_t thread;
    int number;
    uint64_t commits, groups;
    double preparing, flushing;
    EVP_MD_CTX *digest;
    EVP_MD *sha256;
    secp256k1_context *curve;
    uint8_t key[32];
    uint8_t *blocks;  // the commit's nodes, NODES of NODE bytes
};

static void require(int condition, const char *what) {
    if (condition) return;
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

// DAG-CBOR: each appends at `at` and gives the end.

static uint8_t *head(uint8_t *at, int major, uint64_t value) {
    if (value < 24) {
        *at++ = major << 5 | value;
    } else if (value < 0x100) {
        *at++ = major << 5 | 24;
        *at++ = value;
    } else {
        *at++ = major << 5 | 25;
        *at++ = value >> 8;
        *at++ = value;
    }
    return at;
}

static uint8_t *bytes(uint8_t *at, int major, const void *from, size_t length) {
    at = head(at, major, length);
    memcpy(at, from, length);
    return at + length;
}

static uint8_t *text(uint8_t *at, const char *string) { return bytes(at, 3, string, strlen(string)); }

static uint8_t *cid(uint8_t *at, const uint8_t hash[HASH]) {
    memcpy(at, (uint8_t[]){0x01, 0x71, 0x12, 0x20}, 4);
    memcpy(at + 4, hash, HASH);
    return at + CID;
}

static uint8_t *cid_link(uint8_t *at, const uint8_t hash[HASH]) {
    at = head(at, 6, 42);
    at = head(at, 2, CID + 1);
    *at++ = 0;
    return cid(at, hash);
}

static uint8_t *encode_record(uint8_t *at, const char *content) {
    at = head(at, 5, 3);
    at = text(text(at, "text"), content);
    at = text(text(at, "$type"), "app.bsky.feed.post");
    return text(text(at, "createdAt"), "2026-01-01T00:00:00.000Z");
}

/// A commit, unsigned where `signature` is null.
static uint8_t *encode_commit(uint8_t *at, const char *rev, const uint8_t root[HASH], const uint8_t *signature) {
    at = head(at, 5, signature ? 6 : 5);
    at = text(text(at, "did"), "did:plc:ewvi7nxzyoun6zhxrhs64oiz");
    at = text(text(at, "rev"), rev);
    if (signature) at = bytes(text(at, "sig"), 2, signature, SIGNATURE);
    at = cid_link(text(at, "data"), root);
    at = text(at, "prev");
    *at++ = 0xf6;
    return head(text(at, "version"), 0, 3);
}

// A commit

static void hash(struct worker *worker, const uint8_t *from, size_t length, uint8_t result[HASH]) {
    require(EVP_DigestInit_ex2(worker->digest, worker->sha256, NULL), "EVP_DigestInit_ex2");
    require(EVP_DigestUpdate(worker->digest, from, length), "EVP_DigestUpdate");
    require(EVP_DigestFinal_ex(worker->digest, result, NULL), "EVP_DigestFinal_ex");
}

/// Appends a block as a CAR holds it: length, CID, bytes.
static uint8_t *block(uint8_t *at, const uint8_t hash[HASH], const uint8_t *from, size_t length) {
    size_t rest = CID + length;
    for (; rest >= 0x80; rest >>= 7) *at++ = rest | 0x80;
    *at++ = rest;
    at = cid(at, hash);
    memcpy(at, from, length);
    return at + length;
}

/// Makes one commit and lays it out as a frame at `frame`, which is `run.frame` bytes long or as long as it must be.
static uint8_t *make_commit(struct worker *worker, uint8_t *frame) {
    uint8_t buffer[1024], below[HASH], digest[HASH], signature[SIGNATURE];
    char content[512], rev[14];
    uint8_t *at = frame, *end;

    snprintf(content, sizeof content, "load %d %-*llu", worker->number, run.text, (unsigned long long)worker->commits);
    content[run.text] = 0;
    end = encode_record(buffer, content);
    hash(worker, buffer, end - buffer, below);
    at = block(at, below, buffer, end - buffer);

    for (int index = 0; index < run.nodes; index++) {
        uint8_t *node = worker->blocks + (size_t)index * run.node;
        memcpy(node + run.node - HASH, below, HASH);
        hash(worker, node, run.node, below);
        at = block(at, below, node, run.node);
    }

    snprintf(rev, sizeof rev, "3%012llu", (unsigned long long)worker->commits);
    end = encode_commit(buffer, rev, below, NULL);
    hash(worker, buffer, end - buffer, digest);
    secp256k1_ecdsa_signature made;
    require(secp256k1_ecdsa_sign(worker->curve, &made, digest, worker->key, NULL, NULL), "secp256k1_ecdsa_sign");
    secp256k1_ecdsa_signature_serialize_compact(worker->curve, signature, &made);
    end = encode_commit(buffer, rev, below, signature);
    hash(worker, buffer, end - buffer, digest);
    at = block(at, digest, buffer, end - buffer);

    // What else a frame holds: its header, its operations, the blocks that prove what was there before.
    if (at < frame + run.frame) {
        memset(at, 0, frame + run.frame - at);
        at = frame + run.frame;
    }
    worker->commits++;
    return at;
}

static void append(const uint8_t *from, size_t length) {
    while (length > 0) {
        ssize_t written = write(run.file, from, length);
        require(written > 0, "write");
        from += written;
        length -= written;
    }
}

static void *work(void *argument) {
    struct worker *worker = argument;
    // A frame is never longer than its blocks at their longest.
    size_t longest = run.frame + (size_t)(run.nodes + 2) * (CID + 8) + (size_t)run.nodes * run.node + 2048;
    uint8_t *frames = malloc(longest * run.group);
    require(frames != NULL, "malloc");
    for (double began = now(), made; began < run.until; began = now()) {
        uint8_t *at = frames;
        for (int index = 0; index < run.group; index++) at = make_commit(worker, at);
        made = now();
        worker->preparing += made - began;
        pthread_mutex_lock(&log_turn);
        began = now();
        append(frames, at - frames);
        require(fdatasync(run.file) == 0, "fdatasync");
        worker->flushing += now() - began;
        pthread_mutex_unlock(&log_turn);
        worker->groups++;
    }
    free(frames);
    return NULL;
}

static void set_up(struct worker *worker, int number) {
    *worker = (struct worker){.number = number};
    worker->digest = EVP_MD_CTX_new();
    worker->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    worker->curve = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    worker->blocks = malloc((size_t)run.nodes * run.node);
    require(worker->digest && worker->sha256 && worker->curve && worker->blocks, "set up");
    require(getrandom(worker->key, sizeof worker->key, 0) == sizeof worker->key, "getrandom");
    for (size_t at = 0, size = (size_t)run.nodes * run.node; at < size; at++) worker->blocks[at] = rand();
}

static int number(const char *argument, int least, int most) {
    int value = atoi(argument);
    if (value >= least && value <= most) return value;
    fprintf(stderr, "%s is not from %d to %d\n", argument, least, most);
    exit(64);
}

int main(int count, char **arguments) {
    if (count != 9) {
        fprintf(stderr, "usage: floor FILE SECONDS THREADS GROUP TEXT NODES NODE FRAME\n");
        return 64;
    }
    run.file = open(arguments[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    require(run.file >= 0, arguments[1]);
    int seconds = number(arguments[2], 1, 3600), threads = number(arguments[3], 1, THREADS_MAX);
    run.group = number(arguments[4], 1, 10000);
    run.text = number(arguments[5], 1, 400);
    run.nodes = number(arguments[6], 1, NODES_MAX);
    run.node = number(arguments[7], HASH, NODE_MAX);
    run.frame = number(arguments[8], 1, 1 << 20);

    static struct worker workers[THREADS_MAX], sum;
    for (int index = 0; index < threads; index++) set_up(&workers[index], index);
    double began = now();
    run.until = began + seconds;
    for (int index = 0; index < threads; index++)
        require(pthread_create(&workers[index].thread, NULL, work, &workers[index]) == 0, "pthread_create");
    for (int index = 0; index < threads; index++) {
        pthread_join(workers[index].thread, NULL);
        sum.commits += workers[index].commits;
        sum.groups += workers[index].groups;
        sum.preparing += workers[index].preparing;
        sum.flushing += workers[index].flushing;
    }
    printf("{\"commits\": %llu, \"seconds\": %.6f, \"commit_us\": %.2f, \"flush_us\": %.1f}\n",
           (unsigned long long)sum.commits, now() - began, sum.preparing / sum.commits * 1e6,
           sum.flushing / sum.groups * 1e6);
    return 0;
}
