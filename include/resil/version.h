/*  The version of resil; the build, the package files and the library's SONAME
    take it from here.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_VERSION_H
#define RESIL_VERSION_H

/*  The three parts of the version. */
#define RESIL_VERSION_MAJOR 0
#define RESIL_VERSION_MINOR 1
#define RESIL_VERSION_PATCH 0

/*  One number to compare with: 10000 * major + 100 * minor + patch. */
#define RESIL_VERSION                                                                              \
    (RESIL_VERSION_MAJOR * 10000 + RESIL_VERSION_MINOR * 100 + RESIL_VERSION_PATCH)

#endif
