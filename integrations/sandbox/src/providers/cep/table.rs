//! Cities with their real codes, a few streets, and which CEPs belong to which state.
//! Cities, codes and ranges are real; a street is only meant to look like one.

pub(crate) struct City {
    pub(crate) name: &'static str,
    pub(crate) uf: &'static str,
    pub(crate) state: &'static str,
    pub(crate) region: &'static str,
    pub(crate) ibge: &'static str,
    pub(crate) ddd: &'static str,
    pub(crate) siafi: &'static str,
}

pub(crate) struct Address {
    pub(crate) street: &'static str,
    pub(crate) complement: &'static str,
    pub(crate) district: &'static str,
    pub(crate) city: &'static City,
}

/// `None`: no such CEP. A CEP that is plausible but not in the table is some street of its state's capital;
/// one that ends in 000 is the only CEP of its town, without street or district.
pub(crate) fn find(cep: &str) -> Option<Address> {
    if let Some(&(_, ibge, street, complement, district)) = STREETS.iter().find(|row| row.0 == cep) {
        let city = CITIES.iter().find(|city| city.ibge == ibge)?;
        return Some(Address { street, complement, district, city });
    }
    if cep == "99999999" {
        return None;
    }
    let prefix: u32 = cep.get(..5)?.parse().ok()?;
    let &(_, _, uf) = RANGES.iter().find(|(first, last, _)| (*first..=*last).contains(&prefix))?;
    let city = CITIES.iter().find(|city| city.uf == uf)?; // the capital stands first
    let (street, district) = match cep.get(5..)? {
        "000" => ("", ""),
        suffix => GENERIC[suffix.parse::<usize>().ok()? % GENERIC.len()],
    };
    Some(Address { street, complement: "", district, city })
}

const GENERIC: [(&str, &str); 5] = [
    ("Rua das Acácias", "Centro"),
    ("Rua Sete de Setembro", "Centro"),
    ("Avenida Brasil", "Jardim América"),
    ("Rua das Palmeiras", "Boa Vista"),
    ("Travessa da Paz", "Vila Nova"),
];

/// First and last five digits, in official order.
const RANGES: &[(u32, u32, &str)] = &[
    (1_000, 19_999, "SP"),
    (20_000, 28_999, "RJ"),
    (29_000, 29_999, "ES"),
    (30_000, 39_999, "MG"),
    (40_000, 48_999, "BA"),
    (49_000, 49_999, "SE"),
    (50_000, 56_999, "PE"),
    (57_000, 57_999, "AL"),
    (58_000, 58_999, "PB"),
    (59_000, 59_999, "RN"),
    (60_000, 63_999, "CE"),
    (64_000, 64_999, "PI"),
    (65_000, 65_999, "MA"),
    (66_000, 68_899, "PA"),
    (68_900, 68_999, "AP"),
    (69_000, 69_299, "AM"),
    (69_300, 69_399, "RR"),
    (69_400, 69_899, "AM"),
    (69_900, 69_999, "AC"),
    (70_000, 72_799, "DF"),
    (72_800, 72_999, "GO"),
    (73_000, 73_699, "DF"),
    (73_700, 76_799, "GO"),
    (76_800, 76_999, "RO"),
    (77_000, 77_999, "TO"),
    (78_000, 78_899, "MT"),
    (79_000, 79_999, "MS"),
    (80_000, 87_999, "PR"),
    (88_000, 89_999, "SC"),
    (90_000, 99_999, "RS"),
];

const fn city(
    name: &'static str,
    uf: &'static str,
    state: &'static str,
    region: &'static str,
    ibge: &'static str,
    ddd: &'static str,
    siafi: &'static str,
) -> City {
    City { name, uf, state, region, ibge, ddd, siafi }
}

#[rustfmt::skip]
const CITIES: &[City] = &[
    city("São Paulo", "SP", "São Paulo", "Sudeste", "3550308", "11", "7107"),
    city("Rio de Janeiro", "RJ", "Rio de Janeiro", "Sudeste", "3304557", "21", "6001"),
    city("Vitória", "ES", "Espírito Santo", "Sudeste", "3205309", "27", "5705"),
    city("Belo Horizonte", "MG", "Minas Gerais", "Sudeste", "3106200", "31", "4123"),
    city("Salvador", "BA", "Bahia", "Nordeste", "2927408", "71", "3849"),
    city("Aracaju", "SE", "Sergipe", "Nordeste", "2800308", "79", "3105"),
    city("Recife", "PE", "Pernambuco", "Nordeste", "2611606", "81", "2531"),
    city("Maceió", "AL", "Alagoas", "Nordeste", "2704302", "82", "2785"),
    city("João Pessoa", "PB", "Paraíba", "Nordeste", "2507507", "83", "2051"),
    city("Natal", "RN", "Rio Grande do Norte", "Nordeste", "2408102", "84", "1761"),
    city("Fortaleza", "CE", "Ceará", "Nordeste", "2304400", "85", "1389"),
    city("Teresina", "PI", "Piauí", "Nordeste", "2211001", "86", "1219"),
    city("São Luís", "MA", "Maranhão", "Nordeste", "2111300", "98", "0921"),
    city("Belém", "PA", "Pará", "Norte", "1501402", "91", "0427"),
    city("Macapá", "AP", "Amapá", "Norte", "1600303", "96", "0605"),
    city("Manaus", "AM", "Amazonas", "Norte", "1302603", "92", "0255"),
    city("Boa Vista", "RR", "Roraima", "Norte", "1400100", "95", "0301"),
    city("Rio Branco", "AC", "Acre", "Norte", "1200401", "68", "0139"),
    city("Brasília", "DF", "Distrito Federal", "Centro-Oeste", "5300108", "61", "9701"),
    city("Goiânia", "GO", "Goiás", "Centro-Oeste", "5208707", "62", "9373"),
    city("Porto Velho", "RO", "Rondônia", "Norte", "1100205", "69", "0003"),
    city("Palmas", "TO", "Tocantins", "Norte", "1721000", "63", "9733"),
    city("Cuiabá", "MT", "Mato Grosso", "Centro-Oeste", "5103403", "65", "9067"),
    city("Campo Grande", "MS", "Mato Grosso do Sul", "Centro-Oeste", "5002704", "67", "9051"),
    city("Curitiba", "PR", "Paraná", "Sul", "4106902", "41", "7535"),
    city("Florianópolis", "SC", "Santa Catarina", "Sul", "4205407", "48", "8105"),
    city("Porto Alegre", "RS", "Rio Grande do Sul", "Sul", "4314902", "51", "8801"),
    city("Campinas", "SP", "São Paulo", "Sudeste", "3509502", "19", "6291"),
    city("Santos", "SP", "São Paulo", "Sudeste", "3548500", "13", "7071"),
    city("Ribeirão Preto", "SP", "São Paulo", "Sudeste", "3543402", "16", "6969"),
    city("Niterói", "RJ", "Rio de Janeiro", "Sudeste", "3303302", "21", "5865"),
    city("Uberlândia", "MG", "Minas Gerais", "Sudeste", "3170206", "34", "5403"),
    city("Londrina", "PR", "Paraná", "Sul", "4113700", "43", "7667"),
    city("Joinville", "SC", "Santa Catarina", "Sul", "4209102", "47", "8179"),
    city("Blumenau", "SC", "Santa Catarina", "Sul", "4202404", "47", "8047"),
    city("Caxias do Sul", "RS", "Rio Grande do Sul", "Sul", "4305108", "54", "8599"),
];

/// CEP, city, street, hint about the range of numbers, district.
#[rustfmt::skip]
const STREETS: &[(&str, &str, &str, &str, &str)] = &[
    ("01001000", "3550308", "Praça da Sé", "lado ímpar", "Sé"),
    ("01310100", "3550308", "Avenida Paulista", "de 612 a 1510 - lado par", "Bela Vista"),
    ("01310200", "3550308", "Avenida Paulista", "de 1512 a 2132 - lado par", "Bela Vista"),
    ("01310930", "3550308", "Avenida Paulista", "", "Bela Vista"),
    ("04538133", "3550308", "Avenida Brigadeiro Faria Lima", "de 3253 ao fim - lado ímpar", "Itaim Bibi"),
    ("05010000", "3550308", "Rua Caiubi", "", "Perdizes"),
    ("05424020", "3550308", "Rua Professor Carlos Reis", "", "Pinheiros"),
    ("11010000", "3548500", "Praça Visconde de Mauá", "", "Centro"),
    ("13010000", "3509502", "Rua Barão de Jaguara", "", "Centro"),
    ("14010000", "3543402", "Rua General Osório", "", "Centro"),
    ("20040002", "3304557", "Avenida Rio Branco", "", "Centro"),
    ("20040020", "3304557", "Praça Floriano", "", "Centro"),
    ("22070900", "3304557", "Avenida Atlântica", "", "Copacabana"),
    ("22410000", "3304557", "Rua Visconde de Pirajá", "", "Ipanema"),
    ("24020000", "3303302", "Avenida Ernani do Amaral Peixoto", "", "Centro"),
    ("29010000", "3205309", "Avenida Jerônimo Monteiro", "", "Centro"),
    ("30130000", "3106200", "Avenida Afonso Pena", "", "Centro"),
    ("30140071", "3106200", "Avenida João Pinheiro", "", "Funcionários"),
    ("38400000", "3170206", "Avenida Afonso Pena", "", "Centro"),
    ("40020000", "2927408", "Rua Chile", "", "Centro"),
    ("40140130", "2927408", "Avenida Oceânica", "", "Barra"),
    ("49010000", "2800308", "Rua João Pessoa", "", "Centro"),
    ("50030000", "2611606", "Avenida Marquês de Olinda", "", "Recife"),
    ("51020000", "2611606", "Avenida Conselheiro Aguiar", "", "Boa Viagem"),
    ("57020000", "2704302", "Rua do Comércio", "", "Centro"),
    ("58010000", "2507507", "Rua Duque de Caxias", "", "Centro"),
    ("59010000", "2408102", "Avenida Câmara Cascudo", "", "Ribeira"),
    ("60060000", "2304400", "Rua Senador Pompeu", "", "Centro"),
    ("60165121", "2304400", "Avenida Beira Mar", "", "Meireles"),
    ("64000000", "2211001", "Rua Álvaro Mendes", "", "Centro"),
    ("65010000", "2111300", "Rua Grande", "", "Centro"),
    ("66010000", "1501402", "Avenida Presidente Vargas", "", "Campina"),
    ("68900000", "1600303", "Rua São José", "", "Central"),
    ("69005000", "1302603", "Avenida Eduardo Ribeiro", "", "Centro"),
    ("69301000", "1400100", "Rua Bento Brasil", "", "Centro"),
    ("69900000", "1200401", "Avenida Getúlio Vargas", "", "Centro"),
    ("70040010", "5300108", "Quadra SBN Quadra 1", "", "Asa Norte"),
    ("74010000", "5208707", "Avenida Goiás", "", "Setor Central"),
    ("76801000", "1100205", "Avenida Sete de Setembro", "", "Centro"),
    ("77001000", "1721000", "Quadra ACNO 1", "", "Plano Diretor Norte"),
    ("78005000", "5103403", "Avenida Getúlio Vargas", "", "Centro Norte"),
    ("79002000", "5002704", "Rua 14 de Julho", "", "Centro"),
    ("80010000", "4106902", "Praça Tiradentes", "", "Centro"),
    ("80020310", "4106902", "Rua XV de Novembro", "", "Centro"),
    ("86010000", "4113700", "Avenida Paraná", "", "Centro"),
    ("88010000", "4205407", "Rua Felipe Schmidt", "", "Centro"),
    ("89010000", "4202404", "Rua XV de Novembro", "", "Centro"),
    ("89201000", "4209102", "Rua do Príncipe", "", "Centro"),
    ("90010000", "4314902", "Rua Siqueira Campos", "", "Centro Histórico"),
    ("95010000", "4305108", "Avenida Júlio de Castilhos", "", "Centro"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_street_lies_in_its_state_and_every_state_has_a_city() {
        for (cep, ibge, ..) in STREETS {
            let city = CITIES.iter().find(|city| city.ibge == *ibge).expect(cep);
            let prefix: u32 = cep[..5].parse().expect("digits");
            let range = RANGES.iter().find(|(first, last, _)| (*first..=*last).contains(&prefix));
            assert_eq!(range.map(|r| r.2), Some(city.uf), "{cep}");
        }
        for (_, _, uf) in RANGES {
            assert!(CITIES.iter().any(|city| city.uf == *uf), "{uf}");
        }
    }

    /// The last digit of a municipality's code checks the others: weights 1 2 1 2 1 2, digits of the products summed.
    #[test]
    fn the_check_digit_of_every_city_code_is_right() {
        for city in CITIES {
            let digits: Vec<u32> = city.ibge.chars().filter_map(|c| c.to_digit(10)).collect();
            let sum: u32 = digits[..6].iter().zip([1, 2].iter().cycle()).map(|(d, w)| d * w / 10 + d * w % 10).sum();
            assert_eq!(digits[6], (10 - sum % 10) % 10, "{}", city.name);
        }
    }

    #[test]
    fn an_impossible_cep_is_unknown() {
        for cep in ["00000000", "00999999", "99999999", "78950000"] {
            assert!(find(cep).is_none(), "{cep}");
        }
        assert_eq!(find("79999123").map(|a| a.city.name), Some("Campo Grande"));
    }
}
