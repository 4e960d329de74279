// How readily the recogniser takes one sign for another.
#ifndef GTV_AI_PLATE_CONFUSION_H
#define GTV_AI_PLATE_CONFUSION_H

enum { GTV_PLATE_CONFUSION_RARE = 60 }; // of pairs that were hardly ever seen

// Tenths of -ln P(read | is): 0 for a sign and itself. Signs as gtv_plate_sign counts them.
int gtv_plate_confusion(int is, int read);

#endif
