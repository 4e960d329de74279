// Plates as they are searched for.
#ifndef GTV_CONTRACT_PLATE_H
#define GTV_CONTRACT_PLATE_H

#include "lib/base/str.h"

enum { GTV_PLATE_KEY_MAX = 12 }; // letters and digits of the longest plate

// The key under which a plate is stored and searched. Spaces, dashes and dots are left out, letters are upper
// case. A Brazilian plate that was converted to Mercosul keeps its signs but the fifth, where 0..9 became
// A..J (CONTRAN, Resolucao 780/2019, annex I): LLLNLNN with A..J there has the key of its old form, so that
// ABC1D23 and ABC1323 are found together. Everything else is its own key: foreign plates, and Mercosul ones
// beyond J, which were never old. False, and an empty key, when text has other signs, none at all, or more
// than GTV_PLATE_KEY_MAX.
bool gtv_plate_key(struct gtv_str text, char out[GTV_PLATE_KEY_MAX + 1]) GTV_WARN_UNUSED;

#endif
