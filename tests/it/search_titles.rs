//! Titles as shops write them and queries as customers type them, from the vocabulary of five trades.

/// A small generator of numbers: the same seed makes the same shop.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A thing, and its plural.
type Thing = (&'static str, &'static str);

struct Trade {
    things: &'static [Thing],
    kinds: &'static [&'static str],
    colours: &'static [&'static str],
    /// A measure as titles write it, and as customers do.
    sizes: &'static [(&'static str, &'static [&'static str])],
    brands: &'static [&'static str],
}

const COLOURS: &[&str] = &[
    "Preto",
    "Branco",
    "Azul",
    "Vermelho",
    "Verde",
    "Amarelo",
    "Rosa",
    "Marrom",
    "Cinza",
    "Roxo",
    "Bege",
    "Laranja",
    "Preto/Branco",
    "Azul Marinho",
];

const TRADES: [Trade; 5] = [
    Trade {
        things: &[
            ("Camiseta", "camisetas"),
            ("Calça Jeans", "calças jeans"),
            ("Vestido", "vestidos"),
            ("Tênis", "tênis"),
            ("Bota", "botas"),
            ("Meia", "meias"),
            ("Blusão", "blusões"),
            ("Calção", "calções"),
            ("Moletom", "moletons"),
            ("Anel", "anéis"),
            ("Cordão", "cordões"),
            ("Sutiã", "sutiãs"),
            ("Biquíni", "biquínis"),
            ("Chapéu", "chapéus"),
            ("Jaqueta", "jaquetas"),
            ("Avental", "aventais"),
            ("Macacão", "macacões"),
            ("Cachecol", "cachecóis"),
        ],
        kinds: &[
            "Feminino",
            "Masculino",
            "Infantil",
            "de Algodão",
            "de Lã",
            "Esportivo",
            "Casual",
            "Plus Size",
            "Estampado",
            "Listrado",
            "Social",
        ],
        colours: COLOURS,
        sizes: &[
            ("38-40", &["38", "40", "38/40"]),
            ("39/43", &["43", "39", "39-43"]),
            ("Tam. M", &["tam m", "M"]),
            ("P/M/G", &["G", "P"]),
            ("nº 36", &["36", "n 36"]),
            ("42", &["42"]),
            ("GG", &["gg"]),
            ("44", &["44"]),
            ("Tam.P", &["tam p"]),
        ],
        brands: &["Aurora", "Maré Alta", "Sabiá", "Ipê", "Trilha", "Norte & Sul", "Bem-te-vi", "Cajuína"],
    },
    Trade {
        things: &[
            ("Café", "cafés"),
            ("Pão de Mel", "pães de mel"),
            ("Feijão", "feijões"),
            ("Arroz", "arroz"),
            ("Azeite", "azeites"),
            ("Bombom", "bombons"),
            ("Biscoito", "biscoitos"),
            ("Chá", "chás"),
            ("Mel", "mel"),
            ("Macarrão", "macarrões"),
            ("Castanha", "castanhas"),
            ("Amendoim", "amendoins"),
            ("Geleia", "geleias"),
            ("Pimenta", "pimentas"),
            ("Sal", "sais"),
            ("Melão", "melões"),
        ],
        kinds: &[
            "Integral",
            "Orgânico",
            "Tradicional",
            "em Grãos",
            "Sem Glúten",
            "Sem Lactose",
            "Artesanal",
            "Torrado",
            "Premium",
            "Light",
            "Desidratado",
        ],
        colours: &[
            "do Cerrado",
            "da Serra",
            "da Bahia",
            "de Minas",
            "do Sul",
            "da Fazenda",
            "Caseiro",
            "Importado",
            "Nacional",
            "Gourmet",
        ],
        sizes: &[
            ("250g", &["250 g", "250 gramas", "250gr"]),
            ("250 g", &["250g"]),
            ("500 g", &["500g"]),
            ("1kg", &["1 kg", "1 quilo"]),
            ("1,5 kg", &["1,5kg", "1.5 kg"]),
            ("500ml", &["500 ml"]),
            ("1 L", &["1l", "1 litro"]),
            ("1,5L", &["1,5 l", "1.5L", "1,5 litros"]),
            ("c/ 12 Unidades", &["12 unidades", "12un"]),
            ("5kg", &["5 kg"]),
        ],
        brands: &["3corações", "Dona Benta", "Sítio Velho", "Boa Mesa", "Grão d'Ouro", "Sol & Terra", "Paladar", "Vó Nena"],
    },
    Trade {
        things: &[
            ("Furadeira", "furadeiras"),
            ("Parafusadeira", "parafusadeiras"),
            ("Martelo", "martelos"),
            ("Alicate", "alicates"),
            ("Serrote", "serrotes"),
            ("Chave Philips", "chaves philips"),
            ("Trena", "trenas"),
            ("Lixadeira", "lixadeiras"),
            ("Funil", "funis"),
            ("Nível a Laser", "níveis a laser"),
            ("Formão", "formões"),
            ("Facão", "facões"),
            ("Barril", "barris"),
            ("Pincel", "pincéis"),
            ("Esmeril", "esmeris"),
            ("Compressor", "compressores"),
        ],
        kinds: &[
            "Profissional",
            "Elétrico",
            "de Impacto",
            "Sem Fio",
            "Manual",
            "Industrial",
            "Portátil",
            "Reforçado",
            "Dobrável",
            "com Maleta",
        ],
        colours: COLOURS,
        sizes: &[
            ("110/220V", &["220v", "110v", "220 V", "220 volts"]),
            ("127V", &["127 v", "127v"]),
            ("1/2\"", &["1/2\"", "1/2 polegada"]),
            ("8\"", &["8 polegadas", "8\""]),
            ("5m", &["5 m", "5 metros"]),
            ("650W", &["650 w", "650 watts"]),
            ("10 mm", &["10mm"]),
            ("20V", &["20 v"]),
            ("12x20cm", &["12x20", "12 x 20 cm"]),
        ],
        brands: &["Forja", "Aço Bom", "Tork", "Mestre", "Oficina 1", "Mão Firme", "Vulcão", "Real"],
    },
    Trade {
        things: &[
            ("Celular", "celulares"),
            ("Fone de Ouvido", "fones de ouvido"),
            ("Carregador", "carregadores"),
            ("Televisão", "televisões"),
            ("Notebook", "notebooks"),
            ("Monitor", "monitores"),
            ("Teclado", "teclados"),
            ("Mouse", "mouses"),
            ("Cabo USB", "cabos usb"),
            ("Lâmpada LED", "lâmpadas led"),
            ("Ventilador", "ventiladores"),
            ("Liquidificador", "liquidificadores"),
            ("Fogão", "fogões"),
            ("Roteador Wi-Fi", "roteadores wifi"),
            ("Caixa de Som", "caixas de som"),
        ],
        kinds: &[
            "Bluetooth",
            "Gamer",
            "Sem Fio",
            "Portátil",
            "Inteligente",
            "Bivolt",
            "Ultra",
            "Recarregável",
            "Compacto",
            "com Microfone",
        ],
        colours: COLOURS,
        sizes: &[
            ("32\"", &["32 polegadas", "32\"", "32pol"]),
            ("50 Polegadas", &["50\"", "50 pol"]),
            ("128GB", &["128 gb", "128gb"]),
            ("8GB RAM", &["8 gb", "8gb ram"]),
            ("10.000mAh", &["10000 mah", "10.000 mAh"]),
            ("110/220V", &["220v", "110 v"]),
            ("9W", &["9 w", "9w"]),
            ("1,5m", &["1,5 m", "1.5m"]),
            ("USB-C", &["usb c", "usb-c"]),
        ],
        brands: &["Lumina", "Vértice", "Onda+", "Zênite", "Órbita", "Pixel 9", "Sinal", "Década"],
    },
    Trade {
        things: &[
            ("Caderno", "cadernos"),
            ("Lápis de Cor", "lápis de cor"),
            ("Caneta", "canetas"),
            ("Papel Sulfite", "papéis sulfite"),
            ("Apontador", "apontadores"),
            ("Borracha", "borrachas"),
            ("Estojo", "estojos"),
            ("Pastel Seco", "pastéis secos"),
            ("Fichário", "fichários"),
            ("Álbum", "álbuns"),
            ("Giz de Cera", "giz de cera"),
            ("Mural", "murais"),
            ("Cartão", "cartões"),
            ("Botão", "botões"),
            ("Balão", "balões"),
            ("Marca-Texto", "marca-textos"),
        ],
        kinds: &[
            "Escolar",
            "Universitário",
            "Infantil",
            "Pautado",
            "Metálico",
            "Neon",
            "Reciclado",
            "Profissional",
            "Decorado",
            "de Luxo",
        ],
        colours: COLOURS,
        sizes: &[
            ("A4", &["a4", "a 4"]),
            ("200 Folhas", &["200 folhas", "200fls folhas"]),
            ("c/100", &["100", "c/ 100"]),
            ("0.7mm", &["0,7 mm", "0.7mm"]),
            ("24 Cores", &["24 cores"]),
            ("75g/m²", &["75g", "75 g"]),
            ("10x15cm", &["10x15", "10 x 15 cm"]),
            ("30 cm", &["30cm"]),
        ],
        brands: &["Traço", "Rabisco", "Nanquim", "Bela Letra", "Papel & Cia", "Recreio", "Lousa", "Ateliê"],
    },
];

/// A product, and where its title came from.
#[derive(Debug)]
pub struct Generated {
    pub title: String,
    trade: usize,
    thing: usize,
    kind: usize,
    colour: usize,
    size: usize,
    brand: usize,
}

pub fn generate(random: &mut Random, count: usize) -> Vec<Generated> {
    (0..count)
        .map(|n| {
            let trade = random.below(TRADES.len());
            let of = &TRADES[trade];
            let [thing, kind, colour, size, brand] =
                [of.things.len(), of.kinds.len(), of.colours.len(), of.sizes.len(), of.brands.len()].map(|end| random.below(end));
            let words = [of.things[thing].0, of.kinds[kind], of.colours[colour], of.sizes[size].0, of.brands[brand]];
            let [what, how, colour_word, measure, by] = words;
            let title = match random.below(4) {
                0 => format!("{what} {how} {colour_word} {measure} {by} Mod. {n}"),
                1 => format!("{what} {by} {how} - {colour_word} ({measure}) Ref.{n}"),
                2 => format!("{by}: {what} {how}, {colour_word} | {measure} cód {n}"),
                _ => format!("{what} {how} {by} {measure} {colour_word} #{n}"),
            };
            Generated { title, trade, thing, kind, colour, size, brand }
        })
        .collect()
}

impl Generated {
    fn trade(&self) -> &'static Trade {
        &TRADES[self.trade]
    }

    /// Whether this query for `self` names the other product as well.
    pub fn fits(&self, other: &Self, query: usize) -> bool {
        self.trade == other.trade
            && self.thing == other.thing
            && match query % 6 {
                0 => self.size_fits(other),
                1 | 5 => self.colour_fits(other),
                2 => self.kind == other.kind,
                3 => self.brand == other.brand && self.kind == other.kind,
                _ => self.kind == other.kind && self.colour_fits(other),
            }
    }

    /// A measure of which one way to ask for it is the other's too: of 127V and 110/220V each is asked for by its own.
    fn size_fits(&self, other: &Self) -> bool {
        let ways = |p: &Self| p.trade().sizes[p.size].1;
        self.size == other.size || ways(self).iter().any(|way| ways(other).contains(way))
    }

    fn colour_fits(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.trade().colours[self.colour], other.trade().colours[other.colour]);
        mine.split(['/', ' ']).all(|word| theirs.split(['/', ' ']).any(|other| other == word))
    }
}

/// What somebody types who looks for this product.
pub fn ask(random: &mut Random, wanted: &Generated, query: usize) -> String {
    let trade = wanted.trade();
    let (one, many) = trade.things[wanted.thing];
    let (kind, colour, brand) = (trade.kinds[wanted.kind], trade.colours[wanted.colour], trade.brands[wanted.brand]);
    let thing = if random.below(2) == 0 { one } else { many };
    let typed = match query % 6 {
        0 => format!("{thing} {}", random.of(trade.sizes[wanted.size].1)),
        1 => format!("{thing} {colour}"),
        2 => format!("{} {thing}", kind),
        3 => format!("{one} {brand} {kind}"),
        4 => format!("{many} {kind} {colour}"),
        _ => format!("{} {colour}", misspelled(random, one)),
    };
    match random.below(3) {
        0 => typed.to_uppercase(),
        1 => typed.to_lowercase().chars().map(plain).collect(),
        _ => typed,
    }
}

/// A long word with two letters changed places, a letter left out or one doubled; short words as they are.
fn misspelled(random: &mut Random, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() < 7 || text.contains(' ') {
        return text.to_owned();
    }
    let at = 2 + random.below(letters.len() - 4);
    match random.below(3) {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        _ => letters.insert(at, letters[at]),
    }
    letters.into_iter().collect()
}

pub fn plain(c: char) -> char {
    match c {
        'á' | 'â' | 'ã' => 'a',
        'é' | 'ê' => 'e',
        'í' => 'i',
        'ó' | 'õ' | 'ô' => 'o',
        'ú' => 'u',
        'ç' => 'c',
        c => c,
    }
}
