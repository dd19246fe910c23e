/*
 * The vote rules of consensus/step.py for four equal validators, one of them dishonest, in three views. To be checked
 * with spin, as tests/model/__main__.py does.
 *
 * Only the votes of the three honest validators are kept. All else is left to the adversary:
 *  - The dishonest validator votes for everything, always. So a certificate exists as soon as enough honest validators
 *    have voted for the same thing. Whether, when and to whom it is shown is left open: an honest validator may act on a
 *    certificate at any time from then on, or never.
 *  - The dishonest validator proposes in every view, two blocks if it likes, on any parents; so it can also do whatever
 *    an honest leader would.
 *  - Messages are lost or late in any way, clocks run out at any time, and views need not be entered in order.
 *  - A crash changes nothing: what is kept here is what is on disk.
 *
 * In any view, at any time, an honest validator may vote
 *    NOTARIZE for one block, not after NULLIFY, if the parent is notarized and all views between are nullified (the gap
 *             rule; the anchor counts as notarized in view 0)
 *    FINALIZE for a notarized block, not after NULLIFY
 *    NULLIFY  not after FINALIZE
 *
 * After each vote it is checked that no view is both finalized and nullified, and that of any two final blocks one
 * stands on the other.
 *
 * -DLAST=n      a block of height n ends its epoch: it has no children, and is proposed again in later views instead
 * -DHALF -DTWO_LIARS -DNO_GAP -DNULLIFIED_TOO -DFINALIZED_TOO -DTWICE -DUNSEEN    a rule is broken; see there
 * -DCLAIM=n     claims that something is impossible that has to be possible
 * All but the first have to be refuted.
 */

#define VIEWS 3
#ifndef LAST
#define LAST 9 /* no epoch ends here */
#endif

/* Two places for blocks in each view. Of two blocks of one view, the first that an honest validator votes for is first. */
#define PLACES (2 * VIEWS)
#define VIEW(place) ((place) / 2 + 1)
#define OTHER(place) ((place) ^ 1)

/* The votes of one honest validator: five bits for each view. */
#define NOTARIZE(place) (1 << (5 * ((place) / 2) + (place) % 2))
#define FINALIZE(place) (1 << (5 * ((place) / 2) + 2 + (place) % 2))
#define NULLIFY(view) (1 << (5 * ((view) - 1) + 4))

#define UNKNOWN 0 /* nobody honest has voted for the block at this place */
#define ANCHOR 1
#define CHILD 2              /* + place: it stands on the block there */
#define AGAIN (CHILD + PLACES) /* + place: it is the block there, proposed again */

short votes[3];      /* ascending, since honest validators differ in nothing but their votes */
byte parent[PLACES]; /* UNKNOWN, ANCHOR, CHILD or AGAIN */
byte height[PLACES];

#ifdef TWO_LIARS /* the third validator is dishonest too */
#define HONEST 2
#else
#define HONEST 3
#endif
#define VOTED(bit) ((4 - HONEST) + ((votes[0] & (bit)) != 0) + ((votes[1] & (bit)) != 0) + ((votes[2] & (bit)) != 0))
#ifdef HALF /* half of the votes are a quorum */
#define CERTIFIED(bit) (2 * VOTED(bit) >= 4)
#else
#define CERTIFIED(bit) (3 * VOTED(bit) > 2 * 4)
#endif

/* --- what the rules allow --- */

#ifdef TWICE /* both blocks of a view may be notarized by one validator */
#define MAY_NOTARIZE(h, place) (!(votes[h] & (NOTARIZE(place) | NULLIFY(VIEW(place)))))
#else
#define MAY_NOTARIZE(h, place) (!(votes[h] & (NOTARIZE(place) | NOTARIZE(OTHER(place)) | NULLIFY(VIEW(place)))))
#endif

#ifdef NO_GAP /* views between parent and block are not looked at */
#define GAP(below, view) true
#else
#define GIVEN_UP(between, below, view) ((between) <= (below) || (between) >= (view) || CERTIFIED(NULLIFY(between)))
#define GAP(below, view) (GIVEN_UP(1, below, view) && GIVEN_UP(2, below, view))
#endif

#ifdef UNSEEN /* a block is finalized whether or not it is notarized */
#define SEEN(place) (parent[place] != UNKNOWN)
#else
#define SEEN(place) CERTIFIED(NOTARIZE(place))
#endif
#ifdef NULLIFIED_TOO /* FINALIZE after NULLIFY */
#define MAY_FINALIZE(h, place) (SEEN(place) && !(votes[h] & FINALIZE(place)))
#else
#define MAY_FINALIZE(h, place) (SEEN(place) && !(votes[h] & (FINALIZE(place) | NULLIFY(VIEW(place)))))
#endif
#ifdef FINALIZED_TOO /* NULLIFY after FINALIZE */
#define MAY_NULLIFY(h, view) (!(votes[h] & NULLIFY(view)))
#else
#define MAY_NULLIFY(h, view) (!(votes[h] & (NULLIFY(view) | FINALIZE(2 * (view) - 2) | FINALIZE(2 * (view) - 1))))
#endif

/* --- what can happen next: guard and change, for each validator and place --- */

/* Of two validators with the same votes it is enough to try one. */
#define DIFFERS(h) ((h) == 0 || votes[h] != votes[((h) + 2) % 3])
#define IS_NEW(place) (parent[place] == UNKNOWN && ((place) % 2 == 0 || parent[OTHER(place)] != UNKNOWN))

#define ON_ANCHOR(h, place) \
    :: DIFFERS(h) && IS_NEW(place) && MAY_NOTARIZE(h, place) && GAP(0, VIEW(place)) -> \
        parent[place] = ANCHOR; height[place] = 1; votes[h] = votes[h] | NOTARIZE(place)
#define ON_BLOCK(h, place, low) \
    :: DIFFERS(h) && IS_NEW(place) && MAY_NOTARIZE(h, place) && GAP(VIEW(low), VIEW(place)) && \
       CERTIFIED(NOTARIZE(low)) && height[low] < LAST -> \
        parent[place] = CHILD + low; height[place] = height[low] + 1; votes[h] = votes[h] | NOTARIZE(place) \
    :: DIFFERS(h) && IS_NEW(place) && MAY_NOTARIZE(h, place) && GAP(VIEW(low), VIEW(place)) && \
       CERTIFIED(NOTARIZE(low)) && height[low] == LAST -> \
        parent[place] = AGAIN + low; height[place] = height[low]; votes[h] = votes[h] | NOTARIZE(place)
#define ON_KNOWN(h, place) \
    :: DIFFERS(h) && parent[place] != UNKNOWN && MAY_NOTARIZE(h, place) -> votes[h] = votes[h] | NOTARIZE(place) \
    :: DIFFERS(h) && MAY_FINALIZE(h, place) -> votes[h] = votes[h] | FINALIZE(place)
#define GIVE_UP(h, view) :: DIFFERS(h) && MAY_NULLIFY(h, view) -> votes[h] = votes[h] | NULLIFY(view)

#define PLACE_1(h, place) ON_ANCHOR(h, place) ON_KNOWN(h, place)
#define PLACE_2(h, place) PLACE_1(h, place) ON_BLOCK(h, place, 0) ON_BLOCK(h, place, 1)
#define PLACE_3(h, place) PLACE_2(h, place) ON_BLOCK(h, place, 2) ON_BLOCK(h, place, 3)
#define ALL(h) \
    PLACE_1(h, 0) PLACE_1(h, 1) GIVE_UP(h, 1) \
    PLACE_2(h, 2) PLACE_2(h, 3) GIVE_UP(h, 2) \
    PLACE_3(h, 4) PLACE_3(h, 5) GIVE_UP(h, 3)

/* --- what must hold --- */

byte up, low, at, goal; /* zero between votes, so that they make no states of their own */
short swap;

/* at := the place of the block itself: proposed again, it is still the same. */
inline itself(place) {
    at = place;
    do
    :: parent[at] >= AGAIN -> at = parent[at] - AGAIN
    :: else -> break
    od
}

/* The block at `up` is the one at `low` or stands on it. */
inline stands() {
    itself(low);
    goal = at;
    itself(up);
    do
    :: at == goal -> break
    :: at != goal && parent[at] >= CHILD -> itself(parent[at] - CHILD)
    :: at != goal && parent[at] < CHILD -> assert(false); break /* it stands on the anchor, beside the other */
    od
}

inline check() {
    low = 0;
    do
    :: low == PLACES -> break
    :: low < PLACES && !CERTIFIED(FINALIZE(low)) -> low++
    :: low < PLACES && CERTIFIED(FINALIZE(low)) ->
        assert(!CERTIFIED(NULLIFY(VIEW(low))));
        up = low + 1;
        do
        :: up == PLACES -> break
        :: up < PLACES && !CERTIFIED(FINALIZE(up)) -> up++
        :: up < PLACES && CERTIFIED(FINALIZE(up)) -> stands(); up++
        od;
        low++
    od
}

/* What has to be possible, lest the rest says nothing. */
inline claim() {
    skip;
#ifdef CLAIM
#if CLAIM == 1 /* a block of every view is final */
    assert(!(CERTIFIED(FINALIZE(0)) && CERTIFIED(FINALIZE(2)) && CERTIFIED(FINALIZE(4))))
#elif CLAIM == 2 /* a view is notarized and nullified, and a later block beside its block is final */
    assert(!(CERTIFIED(NOTARIZE(0)) && CERTIFIED(NULLIFY(1)) && CERTIFIED(FINALIZE(2)) && parent[2] == ANCHOR))
#elif CLAIM == 3 /* a view is notarized and nullified, and a later block on its block is final */
    assert(!(CERTIFIED(NULLIFY(1)) && CERTIFIED(FINALIZE(2)) && parent[2] == CHILD + 0))
#elif CLAIM == 4 /* one view is finalized after a later one */
    assert(!(CERTIFIED(FINALIZE(2)) && !CERTIFIED(FINALIZE(0)) && parent[2] == CHILD + 0))
#elif CLAIM == 5 /* the last block of an epoch is final only where it was proposed again, behind a view given up */
    assert(!(CERTIFIED(FINALIZE(4)) && parent[4] == AGAIN + 0 && CERTIFIED(NULLIFY(1)) && CERTIFIED(NULLIFY(2))))
#endif
#endif
}

inline in_order(low_one, high_one) {
    if
    :: votes[low_one] > votes[high_one] ->
        swap = votes[low_one]; votes[low_one] = votes[high_one]; votes[high_one] = swap
    :: else
    fi
}

active proctype honest() {
end:
    do
    :: atomic {
        if
        ALL(0)
        ALL(1)
#ifndef TWO_LIARS
        ALL(2)
#endif
        fi;
        d_step {
            in_order(0, 1);
#ifndef TWO_LIARS
            in_order(1, 2);
            in_order(0, 1);
#endif
            check();
            claim();
            up = 0; low = 0; at = 0; goal = 0; swap = 0
        }
    }
    od
}
