//! Word lists of the general corpus, all written for this project.

/// First names with their pronouns: subject, object, possessive.
pub(super) const PEOPLE: &[(&str, &str, &str, &str)] = &[
    ("Anna", "she", "her", "her"),
    ("Tomas", "he", "him", "his"),
    ("Lena", "she", "her", "her"),
    ("Marco", "he", "him", "his"),
    ("Nina", "she", "her", "her"),
    ("Peter", "he", "him", "his"),
    ("Sara", "she", "her", "her"),
    ("David", "he", "him", "his"),
    ("Ruth", "she", "her", "her"),
    ("Oscar", "he", "him", "his"),
    ("Clara", "she", "her", "her"),
    ("Hugo", "he", "him", "his"),
    ("Mira", "she", "her", "her"),
    ("Jonas", "he", "him", "his"),
    ("Elsa", "she", "her", "her"),
    ("Felix", "he", "him", "his"),
    ("Ida", "she", "her", "her"),
    ("Leo", "he", "him", "his"),
    ("Vera", "she", "her", "her"),
    ("Simon", "he", "him", "his"),
    ("Rosa", "she", "her", "her"),
    ("Adam", "he", "him", "his"),
    ("Julia", "she", "her", "her"),
    ("Paul", "he", "him", "his"),
];

/// Family names, shared with the domains: copying a name from the input is a general skill.
pub(super) const SURNAMES: &[&str] = &[
    "Keller", "Novak", "Rossi", "Meyer", "Dubois", "Larsen", "Silva", "Kovacs", "Berger", "Moreau",
    "Lindt", "Haas", "Petrov", "Olsen", "Marin", "Weber", "Costa", "Horvat", "Jansen", "Fischer",
    "Blanc", "Santos", "Vogel", "Nagy", "Brandt", "Leroy", "Toth", "Hansen", "Ricci", "Baumann",
    "Popov", "Girard",
];

/// Towns.
pub(super) const TOWNS: &[&str] = &[
    "Bern", "Lyon", "Turin", "Vienna", "Prague", "Oslo", "Porto", "Ghent", "Basel", "Krakow",
    "Bergen", "Malaga", "Utrecht", "Bremen", "Verona", "Zagreb",
];

/// Countries with their capitals.
pub(super) const CAPITALS: &[(&str, &str)] = &[
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Norway", "Oslo"),
    ("Austria", "Vienna"),
    ("Poland", "Warsaw"),
    ("Greece", "Athens"),
    ("Ireland", "Dublin"),
    ("Portugal", "Lisbon"),
    ("Hungary", "Budapest"),
    ("Sweden", "Stockholm"),
    ("Finland", "Helsinki"),
    ("Japan", "Tokyo"),
    ("Egypt", "Cairo"),
    ("Peru", "Lima"),
    ("Cuba", "Havana"),
];

/// Animals: name, kind, appearance, home, food, habit.
pub(super) const ANIMALS: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("heron", "bird", "tall grey", "near rivers", "fish", "stands still in the water"),
    ("fox", "mammal", "quick red", "in the forest", "mice", "hunts at night"),
    ("otter", "mammal", "brown", "near rivers", "fish", "plays in the water"),
    ("owl", "bird", "quiet", "in old trees", "mice", "hunts at night"),
    ("goat", "mammal", "strong", "in the mountains", "grass", "climbs on rocks"),
    ("trout", "fish", "silver", "in cold streams", "insects", "hides under stones"),
    ("swallow", "bird", "small blue", "under roofs", "insects", "flies south in autumn"),
    ("hedgehog", "mammal", "small brown", "in gardens", "worms", "sleeps in winter"),
    ("bee", "insect", "small yellow", "in a hive", "nectar", "makes honey"),
    ("seal", "mammal", "heavy grey", "on the coast", "fish", "rests on the beach"),
    ("raven", "bird", "large black", "in the mountains", "seeds", "calls from high trees"),
    ("deer", "mammal", "shy brown", "in the forest", "leaves", "runs very fast"),
    ("frog", "amphibian", "green", "in ponds", "insects", "sings in spring"),
    ("stork", "bird", "tall white", "on roofs", "frogs", "flies south in autumn"),
    ("pike", "fish", "long green", "in lakes", "fish", "hides among plants"),
    ("mole", "mammal", "blind black", "under the ground", "worms", "digs long tunnels"),
    ("ant", "insect", "tiny black", "in a nest", "seeds", "carries heavy loads"),
    ("hare", "mammal", "fast brown", "in open fields", "grass", "runs very fast"),
    ("eagle", "bird", "large brown", "in the mountains", "hares", "circles in the sky"),
    ("carp", "fish", "large golden", "in ponds", "plants", "swims slowly"),
];

/// Things: name, kind, use, material.
pub(super) const THINGS: &[(&str, &str, &str, &str)] = &[
    ("hammer", "tool", "driving nails", "steel"),
    ("saw", "tool", "cutting wood", "steel"),
    ("kettle", "vessel", "boiling water", "metal"),
    ("basket", "container", "carrying fruit", "straw"),
    ("lamp", "device", "giving light", "glass"),
    ("boat", "vehicle", "crossing water", "wood"),
    ("ladder", "tool", "reaching high places", "wood"),
    ("clock", "device", "telling the time", "metal"),
    ("coat", "garment", "keeping warm", "wool"),
    ("bridge", "structure", "crossing a river", "stone"),
    ("needle", "tool", "sewing cloth", "steel"),
    ("violin", "instrument", "playing music", "wood"),
    ("map", "document", "finding the way", "paper"),
    ("bell", "device", "calling people", "bronze"),
    ("spoon", "tool", "eating soup", "silver"),
    ("wagon", "vehicle", "moving loads", "wood"),
    ("drum", "instrument", "keeping the beat", "leather"),
    ("jar", "container", "storing honey", "glass"),
    ("scarf", "garment", "keeping warm", "wool"),
    ("tower", "structure", "seeing far", "stone"),
];

/// Jobs: name, what the person does, where.
pub(super) const JOBS: &[(&str, &str, &str)] = &[
    ("baker", "makes bread", "in a bakery"),
    ("teacher", "helps children learn", "in a school"),
    ("carpenter", "builds tables and doors", "in a workshop"),
    ("sailor", "works on a ship", "at sea"),
    ("tailor", "sews clothes", "in a shop"),
    ("painter", "paints walls and pictures", "in a studio"),
    ("shepherd", "looks after sheep", "in the hills"),
    ("cook", "prepares meals", "in a kitchen"),
    ("writer", "writes books", "at a desk"),
    ("driver", "drives a bus", "in the town"),
    ("gardener", "grows flowers", "in a park"),
    ("miller", "grinds grain into flour", "in a mill"),
    ("potter", "makes cups and bowls", "in a workshop"),
    ("singer", "sings songs", "on a stage"),
    ("guide", "shows visitors the way", "in the mountains"),
    ("clerk", "keeps the papers in order", "in an office"),
];

/// Categories with members, for lists and for sorting words into categories.
pub(super) const KINDS: &[(&str, &str, &[&str])] = &[
    ("fruit", "fruits", &["apple", "pear", "plum", "cherry", "grape", "peach", "lemon", "melon"]),
    ("colour", "colours", &["red", "blue", "green", "yellow", "white", "black", "brown", "grey"]),
    (
        "vegetable",
        "vegetables",
        &["carrot", "onion", "bean", "leek", "cabbage", "pea", "turnip", "pepper"],
    ),
    ("tree", "trees", &["oak", "birch", "pine", "maple", "willow", "beech", "elm", "ash"]),
    ("metal", "metals", &["iron", "copper", "silver", "gold", "tin", "lead", "zinc", "steel"]),
    ("drink", "drinks", &["tea", "coffee", "milk", "water", "juice", "cider", "cocoa", "lemonade"]),
    ("season", "seasons", &["spring", "summer", "autumn", "winter"]),
    (
        "instrument",
        "instruments",
        &["violin", "drum", "flute", "piano", "guitar", "harp", "horn", "cello"],
    ),
];

/// Opposites.
pub(super) const OPPOSITES: &[(&str, &str)] = &[
    ("hot", "cold"),
    ("big", "small"),
    ("early", "late"),
    ("open", "closed"),
    ("high", "low"),
    ("strong", "weak"),
    ("light", "dark"),
    ("dry", "wet"),
    ("old", "new"),
    ("fast", "slow"),
    ("rich", "poor"),
    ("full", "empty"),
    ("happy", "sad"),
    ("clean", "dirty"),
    ("long", "short"),
    ("near", "far"),
    ("loud", "quiet"),
    ("thick", "thin"),
    ("easy", "hard"),
    ("first", "last"),
];

/// Actions: base form, third person, past form. They read well after a person and before a full
/// stop.
pub(super) const DEEDS: &[(&str, &str, &str)] = &[
    ("walk to the market", "walks to the market", "walked to the market"),
    ("read a long book", "reads a long book", "read a long book"),
    ("paint the old door", "paints the old door", "painted the old door"),
    ("write a letter", "writes a letter", "wrote a letter"),
    ("bake two cakes", "bakes two cakes", "baked two cakes"),
    ("feed the hens", "feeds the hens", "fed the hens"),
    ("clean the kitchen", "cleans the kitchen", "cleaned the kitchen"),
    ("visit a friend", "visits a friend", "visited a friend"),
    ("repair the fence", "repairs the fence", "repaired the fence"),
    ("take the train", "takes the train", "took the train"),
    ("swim in the lake", "swims in the lake", "swam in the lake"),
    ("play the piano", "plays the piano", "played the piano"),
    ("carry the water", "carries the water", "carried the water"),
    ("sing a song", "sings a song", "sang a song"),
    ("close the windows", "closes the windows", "closed the windows"),
    ("find the key", "finds the key", "found the key"),
    ("drink a cup of tea", "drinks a cup of tea", "drank a cup of tea"),
    ("buy fresh bread", "buys fresh bread", "bought fresh bread"),
    ("wash the dishes", "washes the dishes", "washed the dishes"),
    ("plan a journey", "plans a journey", "planned a journey"),
];

/// Hobbies.
pub(super) const HOBBIES: &[&str] = &[
    "painting", "chess", "cooking", "running", "reading", "fishing", "dancing", "cycling",
    "singing", "hiking",
];

/// Days of the week.
pub(super) const DAYS: &[&str] =
    &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Weather: adjective, what happens.
pub(super) const WEATHER: &[(&str, &str)] = &[
    ("sunny", "the sky is clear"),
    ("rainy", "the streets are wet"),
    ("windy", "the leaves fly about"),
    ("snowy", "the roofs are white"),
    ("foggy", "nobody can see far"),
    ("stormy", "the boats stay in the harbour"),
    ("cloudy", "the sun stays hidden"),
    ("warm", "people sit outside"),
];

/// Dishes: name, two ingredients, how it is cooked, minutes.
pub(super) const DISHES: &[(&str, &str, &str, &str, u32)] = &[
    ("onion soup", "onions", "butter", "boil", 30),
    ("apple cake", "apples", "flour", "bake", 45),
    ("bean stew", "beans", "carrots", "boil", 60),
    ("plum jam", "plums", "sugar", "boil", 40),
    ("cheese bread", "cheese", "flour", "bake", 35),
    ("fish pie", "fish", "potatoes", "bake", 50),
    ("leek soup", "leeks", "milk", "boil", 25),
    ("egg salad", "eggs", "pepper", "boil", 10),
];
